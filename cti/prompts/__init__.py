"""What callers hear: texts, the sound that comes with Kikitori, and the bureau's own recordings in its place.

Read: `words` (`texts.toml`) -> `sound` (samples, and what is wrong with them) -> `voice`, `shape`, `index`, `speak`
(words to sound) -> `stock` (which file is heard, and what is wrong with it).
"""

from cti.prompts.speak import render
from cti.prompts.stock import Problem, files, problems, shelf
from cti.prompts.words import LANGUAGES, Language, shipped, texts

__all__ = ["LANGUAGES", "Language", "Problem", "files", "problems", "render", "shelf", "shipped", "texts"]

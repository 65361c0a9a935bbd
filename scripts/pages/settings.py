"""settings.md: every key of kikitori.toml, from the models that read it, and the other variables that are read."""

import inspect
from pathlib import Path

from cti.settings import Settings
from scripts.pages.markdown import DocsError, page, table
from scripts.pages.policies import kind, literal

VARIABLES = {
    "KIKITORI_CONFIG": "the settings file, where `--config` names none",
    "KIKITORI_LANG": "`ja` or `en`; without it the locale decides (`LC_ALL`, `LC_MESSAGES`, `LANG`)",
    "KIKITORI_PASSPHRASE_FILE": "file whose first line is the vault's passphrase, where `--passphrase-file` names none",
    "KIKITORI_PHONE": "your telephone, where `--phone` names none (`callback dial`)",
    "KIKITORI_ASTERISK_ROOT": "root file system with Asterisk for demo and tests (`scripts/asterisk`)",
    "NOTIFY_SOCKET": "set by systemd; `kikitori serve` reports readiness and signs of life there",
    "XDG_STATE_HOME": "below it `kikitori login` keeps the session; default: ~/.local/state",
    "SUDO_USER": "whose name the access log gets when root runs a command through sudo",
}
"""What is read from the environment beside the settings themselves."""


def settings_page(root: Path) -> str:
    """settings.md; `root` is not needed, the settings are those of this program. Raises DocsError."""
    del root
    schema = Settings.model_json_schema()
    intro = (
        "# Settings\n\nOne file, `kikitori.toml`, and the environment. The file is the one that `--config` names,\n"
        "else `KIKITORI_CONFIG`, else `./kikitori.toml`, else `/etc/kikitori/kikitori.toml`. Relative paths start at\n"
        "its folder. A variable beats the file, the file beats the default. An unknown key is an error, with its\n"
        "line. `kikitori config show` prints every value and where it comes from."
    )
    sections = []
    for name, field in Settings.model_fields.items():
        model = type(field.default)
        own = schema["$defs"][model.__name__]["properties"]
        rows = []
        for key, value in own.items():
            if not value.get("description"):
                raise DocsError(f"cti/settings.py: {name}.{key} has no description")
            what = kind(value, schema["$defs"])
            variable = f"`KIKITORI_{name}_{key}`".upper()
            rows.append([f"`{key}`", what, literal(value.get("default")), variable, value["description"]])
        listed = table(["key", "value", "default", "variable", "meaning"], rows)
        sections.append(f"## [{name}]\n\n{inspect.cleandoc(model.__doc__ or '')}\n\n{listed}")
    rows = [[f"`{name}`", meaning] for name, meaning in VARIABLES.items()]
    others = f"## Other variables\n\n{table(['variable', 'meaning'], rows)}"
    return page(intro, *sections, others)

"""Settings: every value knows where it came from, every error names file, line and field."""

from pathlib import Path

import pytest

from cti.errors import SettingsError
from cti.settings import FILE, Loaded, Settings, find, load

EVERY = {
    f"{section}.{key}"
    for section, field in Settings.model_fields.items()
    for key in type(field.default).model_fields
}  # fmt: skip


def write(folder: Path, text: str) -> Path:
    path = folder / FILE
    path.write_text(text)
    return path


def value(loaded: Loaded, key: str) -> tuple[object, str]:
    found = next(item for item in loaded.sources if item.key == key)
    return found.value, found.source


def test_without_a_file_the_defaults() -> None:
    loaded = load(None, {})
    assert loaded.settings == Settings()
    assert {item.key for item in loaded.sources} == EVERY
    assert {item.source for item in loaded.sources} == {"default"}
    assert all(item.description for item in loaded.sources)


def test_a_value_names_its_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, '# ours\n[site]\npbx = "osaka1"\n\n[pbx]\nhost = "192.0.2.9"\nport = 5039\n')
    loaded = load(path, {})
    assert value(loaded, "site.pbx") == ("osaka1", f"{path}:3")
    assert value(loaded, "pbx.port") == (5039, f"{path}:7")
    assert value(loaded, "pbx.user") == ("kikitori", "default")
    assert loaded.file == path


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[pbx]\nport = 5039\n")
    loaded = load(path, {"KIKITORI_PBX_PORT": "5040", "KIKITORI_GATE_DEADLINE": "0.25", "KIKITORI_OTHER": "x"})
    assert value(loaded, "pbx.port") == (5040, "environment KIKITORI_PBX_PORT")
    assert value(loaded, "gate.deadline") == (0.25, "environment KIKITORI_GATE_DEADLINE")


def test_the_environment_without_a_file() -> None:
    assert load(None, {"KIKITORI_SITE_PBX": "pbx7"}).settings.site.pbx == "pbx7"


def test_relative_paths_begin_at_the_folder_of_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[paths]\nvault = "a/vault"\nmirror = "/second/mirror"\n[pbx]\ncel_file = "cel.csv"\nami_tls_ca = "ca.pem"\n',
    )
    settings = load(path, {"KIKITORI_PATHS_LOG": "elsewhere"}).settings
    assert settings.paths.vault == tmp_path / "a/vault"
    assert settings.paths.mirror == Path("/second/mirror")
    assert settings.paths.keys == tmp_path / "keys"
    assert settings.paths.log == tmp_path / "elsewhere"
    assert settings.pbx.secret_file == tmp_path / "keys/ami.secret"
    assert settings.pbx.cel_file == tmp_path / "cel.csv"
    assert settings.pbx.ami_tls_ca == tmp_path / "ca.pem"
    assert settings.asterisk.phones_file == tmp_path / "keys/phones.toml"
    assert settings.asterisk.log_dir == Path("/var/log/asterisk")


def test_an_empty_path_is_none_and_not_the_folder(tmp_path: Path) -> None:
    settings = load(write(tmp_path, '[pbx]\nami_tls_ca = ""\n'), {"KIKITORI_PBX_CEL_FILE": ""}).settings
    assert (settings.pbx.ami_tls_ca, settings.pbx.cel_file) == (None, None)


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("[pbx]\nhost = 'x'\nprot = 1\n", 3, "pbx.prot"),
        ("[pbx]\nport = 0\n", 2, "pbx.port"),
        ("[pbx]\nport = 'many'\n", 2, "pbx.port"),
        ("[gate]\ndeadline = 9.0\n", 2, "gate.deadline"),
        ("\n[gate]\nport = [1]\n", 3, "gate.port"),
        ("[site]\n[nonsense]\nx = 1\n", 2, "nonsense"),
        ("site = 3\n", 1, "site"),
        ("site = 'pbx'\n", 1, "site"),
        ("[[pbx]]\nport = 1\n", 1, "pbx"),
        ("pbx.port = 70000\n", 1, "pbx.port"),
    ],
)
@pytest.mark.parametrize("environ", [{}, {"KIKITORI_SITE_PBX": "pbx1", "KIKITORI_PBX_HOST": "h"}])
def test_a_wrong_line_is_named(tmp_path: Path, text: str, line: int, field: str, environ: dict[str, str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as raised:
        load(path, environ)
    assert str(raised.value).startswith(f"{path}:{line}: {field}: ")
    assert str(raised.value).endswith("`kikitori config show` lists every setting")


def test_a_name_that_cannot_be_a_systemname(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r":3: site\.pbx: String should match"):
        load(write(tmp_path, "\n[site]\npbx = 'Has Spaces'\n"), {})


def test_a_wrong_value_of_the_environment_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^environment KIKITORI_PBX_PORT: pbx\.port: "):
        load(None, {"KIKITORI_PBX_PORT": "many"})


@pytest.mark.parametrize(("text", "says"), [("", "empty"), ("[site\n", "not TOML.*line 1"), ("x = '\\q", "not TOML")])
def test_a_file_that_is_none(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError, match=f"^{path}: {says}"):
        load(path, {})


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^{tmp_path / 'none.toml'}: cannot be read"):
        load(tmp_path / "none.toml", {})
    (tmp_path / FILE).write_bytes(b"[site]\n# \x81\xff\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        load(tmp_path / FILE, {})


def test_where_the_file_is_looked_for(tmp_path: Path) -> None:
    assert find({"KIKITORI_CONFIG": "/else/where.toml"}, tmp_path) == Path("/else/where.toml")
    assert find({}, tmp_path) != tmp_path / FILE
    write(tmp_path, "[site]\n")
    assert find({}, tmp_path) == tmp_path / FILE
    assert find({"KIKITORI_CONFIG": ""}, tmp_path) == tmp_path / FILE

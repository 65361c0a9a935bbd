"""Which other systems are told of cases: none where none is named, and never over an open wire."""

from pathlib import Path

import pytest

from policies.errors import PolicyError
from policies.load import Policies, shipped
from policies.outward import Destination

HEAD = 'basis = "B-04"\ndecided_by = "課長"\neffective_from = 2025-12-01\n'
ONE = '[[destination]]\nname = "portal"\nurl = "https://192.0.2.20/hook"\nsecret_file = "portal.secret"\n'


def given(folder: Path, text: str) -> tuple[Destination, ...]:
    (folder / "outward.toml").write_text(HEAD + text, "utf-8")
    return Policies(folder).outward.destination


@pytest.mark.rule("B-04")
def test_as_shipped_nothing_leaves(tmp_path: Path) -> None:
    assert Policies(shipped()).outward.destination == ()
    assert Policies(tmp_path).outward.destination == (), "an installation of before"


def test_what_is_not_said_is_the_least(tmp_path: Path) -> None:
    (one,) = given(tmp_path, ONE)
    assert (one.kind, one.content, one.host, one.give_up_after) == ("webhook", "ids", "192.0.2.20", 72)
    assert one.wants("note", None)


@pytest.mark.parametrize(
    ("events", "sections", "kind", "main", "wants"),
    [
        ((), (), "note", None, True), (("close",), (), "note", "kyusui", False), (("close",), (), "close", None, True),
        ((), ("kyusui",), "close", None, False), ((), ("kyusui",), "close", "kyusui", True),
    ],
)  # fmt: skip
def test_a_destination_wants_some(
    events: tuple[str, ...], sections: tuple[str, ...], kind: str, main: str | None, wants: bool
) -> None:
    one = Destination(name="x", url="https://192.0.2.20", secret_file="s", events=events, sections=sections)
    assert one.wants(kind, main) is wants


FOLDER = '[[destination]]\nname = "exchange"\nkind = "folder"\nfolder = "/srv/kikitori/exchange"\n'


@pytest.mark.rule("E-08")
def test_a_folder_needs_no_address_and_no_secret(tmp_path: Path) -> None:
    (one,) = given(tmp_path, FOLDER)
    assert (one.kind, one.form, one.content, one.host) == ("folder", "csv", "ids", "")
    (other,) = given(tmp_path, FOLDER + 'form = "xlsx"\n')
    assert one.target != other.target, "it hears each case from its beginning"


def test_which_system_it_is_stays_what_it_was() -> None:
    webhook = Destination(name="x", url="https://192.0.2.20/hook", secret_file="s")
    zammad = Destination(name="x", kind="zammad", url="https://192.0.2.21", secret_file="s", customer="c")
    assert (webhook.target, zammad.target) == ("e14b6b04875a1d71", "55558d0ca7f245c1")


@pytest.mark.rule("E-08")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FOLDER.replace("/srv/", "srv/"), "no absolute path"), (FOLDER.replace("/srv/", "//srv/"), "no absolute path"),
        (FOLDER.replace("kikitori/", "../"), "no absolute path"), (FOLDER.replace("/exchange", "/x/"), "absolute"),
        (FOLDER.replace("/srv/kikitori/exchange", "/"), "absolute"), (FOLDER.replace("kikitori/", "a b/"), "absolute"),
        (FOLDER.replace("kikitori/", "./"), "absolute"), (FOLDER + 'form = "pdf"\n', "form"),
        (FOLDER.replace('folder = "/srv/kikitori/exchange"\n', ""), "folder is missing"),
        (FOLDER + 'url = "https://192.0.2.20"\n', "has no url"), (FOLDER + 'secret_file = "x"\n', "has no secret_file"),
        (FOLDER + 'group = "Users"\n', "has no group"), (ONE + 'folder = "/srv/x"\n', "has no folder"),
        (ONE.replace('url = "https://192.0.2.20/hook"\n', ""), "url is missing"),
    ],
)  # fmt: skip
def test_what_a_kind_needs_and_has_not_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        given(tmp_path, text)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/x", "http://[::1]/x", "http://localhost/x", "https://h.example/x"]
)
def test_an_address_is_encrypted_or_of_this_host(tmp_path: Path, url: str) -> None:
    (one,) = given(tmp_path, ONE.replace("https://192.0.2.20/hook", url))
    assert one.url == url


@pytest.mark.parametrize(
    "text",
    [
        ONE.replace("https://", "http://"), ONE.replace("https://", "ftp://"), ONE.replace("https://192.0.2.20", "https://"),
        ONE.replace("https://", "https://user:word@"), ONE.replace("192.0.2.20", "192.0.2.20:x"),
        ONE.replace("/hook", "/hook#x"), ONE + ONE, ONE + 'kind = "zammad"\n', ONE + 'kind = "fax"\n',
        ONE + 'content = "all"\n', ONE + "give_up_after = 0\n", ONE + 'events = ["Close!"]\n', ONE + 'mail = "x"\n',
        ONE.replace("portal.secret", ""), ONE.replace("http", "[http"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyError, match=r"outward\.toml"):
        given(tmp_path, text)

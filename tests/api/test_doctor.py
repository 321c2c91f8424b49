"""What is installed; secrets are said to be set or not and never shown."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mekiki.api.doctor import CORE, EXTRAS, SECRETS, examine, without_credentials

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def names_in(requirements: list[str]) -> set[str]:
    return {text.replace("[", ">").partition(">")[0].partition("=")[0].strip().lower() for text in requirements}


def test_every_package_of_the_core_is_looked_at() -> None:
    assert set(CORE) == names_in(PROJECT["dependencies"])
    assert all(finding[0].isdigit() for finding in examine()["packages"].values())


def test_every_extra_is_looked_at() -> None:
    bundles = {"all", "dev"}

    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - bundles
    for extra, (package, _) in EXTRAS.items():
        assert package in names_in(PROJECT["optional-dependencies"][extra])


def test_the_machine_and_the_formats_are_described() -> None:
    found = examine()

    assert set(found) == {"machine", "packages", "formats", "extras", "environment"}
    assert {"python", "cores", "device", "sqlite"} <= set(found["machine"])
    assert {"jpeg", "webp", "avif", "heic", "h264", "hevc"} == set(found["formats"])


def test_secrets_are_set_or_not_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "sk-SECRET")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://ann:SECRET@llm.example/v1?key=SECRET")
    monkeypatch.setenv("HF_ENDPOINT", "")

    found = examine()

    assert {found["environment"][name] for name in SECRETS} == {"set"}
    assert found["environment"]["OPENAI_BASE_URL"] == "https://***@llm.example/v1?***"
    assert found["environment"]["HF_ENDPOINT"] == "not set"
    assert "SECRET" not in str(found)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("/data/hf home", "/data/hf home", id="path"),
        pytest.param("0,1", "0,1", id="devices"),
        pytest.param("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1", id="plain address"),
        pytest.param("https://tok@hub.example", "https://***@hub.example", id="user"),
        pytest.param("https://a:b@c@hub.example/x", "https://***@hub.example/x", id="two ats"),
        pytest.param("https://hub.example/x#SECRET", "https://hub.example/x?***", id="fragment"),
        pytest.param("https://[bad/x", "set, but no valid address", id="no address"),
        pytest.param("ann:SECRET@hub.example:6379", "***@hub.example:6379", id="no scheme"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(value: str, shown: str) -> None:
    assert without_credentials(value) == shown

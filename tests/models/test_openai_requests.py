"""What is left of a request when a server refuses a part, and complaints that are about something else."""

from __future__ import annotations

import pytest

from mekiki.models.openai_requests import Complaint, Shape, degraded

FORMAT = ("output", "object")


@pytest.mark.parametrize(
    ("complaint", "change"),
    [
        pytest.param(Complaint("response_format", "no"), FORMAT, id="the parameter"),
        pytest.param(Complaint("text", "no"), FORMAT, id="as Responses calls it"),
        pytest.param(Complaint("body.response_format.type", ""), FORMAT, id="a path"),
        pytest.param(Complaint("", "Unrecognized request argument supplied: response_format"), FORMAT, id="argument"),
        pytest.param(Complaint("", "'response_format.type' must be 'text'"), FORMAT, id="another type"),
        pytest.param(Complaint("", "json_schema is not supported"), FORMAT, id="the kind of format"),
        pytest.param(Complaint("", "Unknown parameter: 'detail'"), ("without", {"detail"}), id="detail"),
        pytest.param(
            Complaint("input", "Unknown parameter: 'input[1].content[1].detail'."),
            ("without", {"detail"}),
            id="its path",
        ),
        pytest.param(
            Complaint("", "Unsupported parameter: temperature"), ("without", {"temperature"}), id="temperature"
        ),
        pytest.param(
            Complaint("", "Unrecognized request argument supplied: reasoning_effort"),
            ("without", {"reasoning"}),
            id="effort",
        ),
        pytest.param(
            Complaint("", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            ("limit", "max_completion_tokens"),
            id="the limit",
        ),
    ],
)
def test_what_the_server_names_is_left_out(complaint: Complaint, change: tuple[str, object]) -> None:
    following = degraded(Shape("chat"), complaint)

    assert following is not None
    assert getattr(following, change[0]) == change[1]


@pytest.mark.parametrize(
    "message",
    [
        "the picture has too much detail",
        "Unsupported image: there is no detail to be seen",
        "This image violates the policy: it shows text about a schema",
        "unknown error: please store the picture elsewhere",
        "this model is not supported while its temperature is high",
        "reasoning failed",
        "max_tokens is too large: 220",
        "the picture is broken",
        "",
    ],
)
def test_a_message_that_only_has_a_name_in_it_changes_nothing(message: str) -> None:
    assert degraded(Shape("chat"), Complaint("", message)) is None
    assert degraded(Shape("responses"), Complaint("input[1].content[1].image_url", message)) is None

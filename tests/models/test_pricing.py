"""What calls cost: prices by name, tokens of pictures, and bounds that hold."""

from __future__ import annotations

import pytest

from mekiki.errors import UsageError
from mekiki.models.pricing import (
    PRICES,
    Budget,
    CostCapReachedError,
    Patches,
    Price,
    Tiles,
    find_price,
    picture_tokens,
    typical_sizes,
    worst_sizes,
)
from mekiki.models.prompts import render_prompt
from mekiki.models.vocabulary import plain_vocabulary

PROMPT = render_prompt(plain_vocabulary(["fox", "タヌキ"]), "ja")


def test_a_price_is_found_by_name_with_or_without_a_date() -> None:
    assert find_price("gpt-5.2", None, None) == find_price("gpt-5.2-2025-12-11", None, None) == PRICES["gpt-5.2"]
    assert find_price("my-model", None, None) is None
    assert find_price("gpt-5.2-pro", None, None) is None


def test_the_users_price_wins() -> None:
    assert find_price("gpt-5.2", 1.0, 2.0) == Price(1.0, 2.0, PRICES["gpt-5.2"].pictures)
    assert find_price("mine", 0.0, 0.0) == Price(0.0, 0.0, None)


@pytest.mark.parametrize("half", [(1.0, None), (None, 1.0)])
def test_half_a_price_is_refused(half: tuple[float | None, float | None]) -> None:
    with pytest.raises(UsageError, match="--price-in and --price-out"):
        find_price("mine", *half)


def test_a_cost_is_per_million_tokens() -> None:
    assert Price(2.0, 8.0).cost(1_000_000, 500_000) == 6.0


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        pytest.param((1024, 1024), 765, id="a square of the documentation"),
        pytest.param((2048, 4096), 1105, id="a tall one of the documentation"),
        pytest.param((100, 100), 255, id="small ones are not enlarged"),
    ],
)
def test_tiles_are_counted_as_documented(size: tuple[int, int], tokens: int) -> None:
    # https://platform.openai.com/docs/guides/images-vision#calculating-costs, for base 85 and 170 a tile
    assert picture_tokens(Tiles(85, 170), *size, "high") == picture_tokens(Tiles(85, 170), *size, "auto") == tokens
    assert picture_tokens(Tiles(85, 170), *size, "low") == 85


def test_patches_are_counted_as_documented_and_never_above_1536() -> None:
    assert picture_tokens(Patches(1.0), 1024, 1024, "low") == 1024
    assert picture_tokens(Patches(1.0), 1800, 2400, "high") == 1536
    assert picture_tokens(Patches(1.62), 1024, 1024, "high") == 1659


def test_the_worst_is_no_less_than_the_typical() -> None:
    for rule in (None, Tiles(85, 170), Patches(2.46)):
        for detail in ("low", "high", "auto"):
            worst = worst_sizes(PROMPT, rule, (1024, 768), detail, 220)
            typical = typical_sizes(PROMPT, rule, (1024, 768), detail)
            assert worst.input_tokens >= typical.input_tokens
            assert worst.output_tokens == 220


def test_no_token_is_shorter_than_a_byte() -> None:
    n_bytes = len((PROMPT.system + PROMPT.user).encode())

    assert worst_sizes(PROMPT, Tiles(0, 0), (10, 10), "low", 1).input_tokens > n_bytes


def test_the_worst_of_a_picture_is_by_the_greediest_rule() -> None:
    few, many = (worst_sizes(PROMPT, Tiles(tokens, 0), (320, 320), "low", 1) for tokens in (70, 5000))

    assert many.input_tokens - few.input_tokens == 5000 - 246


def test_without_a_limit_nothing_is_refused() -> None:
    Budget(None).reserve(1e9)


def test_a_budget_knows_what_was_spent_before() -> None:
    budget = Budget(1.0, spent_usd=0.95)

    with pytest.raises(CostCapReachedError, match=r"may cost \$0\.1000, and \$0\.9500 of --max-cost 1 are spent"):
        budget.reserve(0.1)
    budget.reserve(0.05)

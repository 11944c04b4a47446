"""The configuration: defaults, files, overrides, and what each mistake is told."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.config import Config, default_toml, load_config
from pipeline.config_load import keys, shipped_file
from pipeline.errors import ConfigError

CONFIGS = Path(__file__).parent.parent / "configs"
PRESETS = sorted(path.stem for path in CONFIGS.glob("*.toml") if path.stem != "default")


def flat(values: dict, prefix: str = "") -> dict:
    found = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def test_default_toml_is_what_the_model_says():
    text = (CONFIGS / "default.toml").read_text(encoding="utf-8")
    assert text == default_toml(), "run: python -m pipeline.config > configs/default.toml"
    assert flat(tomllib.loads(text)) == flat(Config().model_dump())


def test_every_key_of_default_toml_stands_under_a_comment():
    lines = default_toml().splitlines()
    at_key = [i for i, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert len(at_key) == len(list(keys(Config)))
    assert all(lines[i - 1].startswith("# ") for i in at_key)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_load_and_hold_only_what_differs(preset):
    values = flat(tomllib.loads((CONFIGS / f"{preset}.toml").read_text(encoding="utf-8")))
    default = flat(Config().model_dump())
    assert values
    assert all(default[key] != value for key, value in values.items())
    assert load_config(preset) == load_config(CONFIGS / f"{preset}.toml")


def test_file_then_overrides(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('n_workers = 3\n[columns]\ntext = "body"\n')
    config = load_config(file, ["columns.title=head line", "furniture.min_articles=7", "n_workers=2"])
    assert (config.columns.text, config.columns.title) == ("body", "head line")
    assert (config.n_workers, config.furniture.min_articles, config.furniture.max_tokens) == (2, 7, 40)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("columns.text=2024", "2024"),
        ("columns.text=true", "true"),
        ('columns.text="a b"', "a b"),
        ("columns.text=a=b", "a=b"),
        ("columns.text = body ", "body"),
        ("columns.text=2024-01-02", "2024-01-02"),
    ],
)
def test_a_key_that_holds_text_takes_any_text(override, value):
    assert load_config(None, [override]).columns.text == value


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("furniture.min_articles=1", ["furniture.min_articles", "greater than or equal to 2", "not 1"]),
        ("threshold=1.5", ["threshold", "less than or equal to 1", "not 1.5"]),
        ("threshold=nan", ["threshold", "finite", "not nan"]),
        ("n_workers=two", ["n_workers", "valid integer", "not 'two'"]),
        ("n_workers=2.0", ["n_workers", "valid integer", "not 2.0"]),
        ("keep_texts=1", ["keep_texts", "valid boolean", "not 1"]),
        ("furniture.min_article=3", ["furniture.min_article: unknown key", "furniture.min_articles"]),
        ("min_articles=3", ["min_articles: unknown key", "furniture.min_articles"]),
        ("furniture=3", ["furniture: unknown key"]),
        ("columns.text=", ["columns.text", "at least 1 character", "not ''"]),
        ("n_workers", ["--set", "key=value", "'n_workers'"]),
        ("=3", ["--set", "key=value"]),
    ],
)
def test_errors_name_key_rule_and_value_on_one_line(override, words):
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[respun]\nn_band = 3\n", ["respun.n_band: unknown key", "respun.n_bands"]),
        ("[respan]\nn_bands = 3\n", ["respan: unknown key"]),
        ("respun = 3\n", ["respun:", "not 3"]),
        ("n_workers = \n", ["valid TOML", "line 1"]),
        ("n_workers = -1\nthreshold = 2\n", ["n_workers", "threshold"]),
    ],
)
def test_errors_of_a_file(tmp_path, text, words):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert all(word in str(caught.value) for word in words), caught.value


def test_section_in_the_file_is_not_a_table(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("columns = 3\n")
    with pytest.raises(ConfigError, match="columns: must be a section, not 3"):
        load_config(file, ["columns.text=body"])


def test_config_file_that_is_missing_or_not_text(tmp_path):
    with pytest.raises(ConfigError, match="not found: nothere"):
        load_config("nothere")
    file = tmp_path / "mine.toml"
    file.write_bytes(b"seed = 1 # \xff")
    with pytest.raises(ConfigError, match="valid TOML"):
        load_config(file)


def test_shipped_file_takes_a_path_first_then_a_shipped_name(tmp_path):
    mine = tmp_path / "default.toml"
    mine.write_text("")
    assert shipped_file(mine) == mine
    assert shipped_file("configs/default.toml").samefile(CONFIGS / "default.toml")
    assert shipped_file("default", ".toml").samefile(CONFIGS / "default.toml")
    assert shipped_file("nothere.json") is None


def test_config_is_frozen():
    with pytest.raises(ValidationError):
        Config().seed = 2


def test_fingerprint_is_of_what_affects_the_result():
    fingerprint = Config().fingerprint()
    for key in keys(Config):
        value = flat(Config().model_dump())[key]
        other = (not value) if isinstance(value, bool) else value + "x" if isinstance(value, str) else None
        changed = load_config(
            None,
            [f"{key}={str(other).lower() if isinstance(other, bool) else other}"]
            if other is not None
            else [f"{key}={_neighbour(key, value)}"],
        )
        same = changed.fingerprint() == fingerprint
        executed = key in {"n_workers", "keep_texts", "keep_rejected_candidates", "keep_scratch_days"}
        assert same == (executed or key.startswith(("index.", "report."))), key


def test_fingerprint_is_of_the_calibration_s_content(tmp_path):
    shipped = shipped_file(Config().calibration, ".json")
    mine = tmp_path / "mine.json"
    mine.write_bytes(shipped.read_bytes())
    named = Config(calibration=str(mine))
    assert named.fingerprint() == Config().fingerprint()
    mine.write_bytes(shipped.read_bytes() + b"\n")
    assert named.fingerprint() != Config().fingerprint()


def _neighbour(key: str, value: float) -> float:
    for other in (value + 1, value + 0.01, value - 1):
        try:
            load_config(None, [f"{key}={other}"])
        except ConfigError:
            continue
        return other
    raise AssertionError(key)

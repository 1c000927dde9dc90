"""Reading settings from the environment and from .env."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bots.settings import BotSettings
from engine import EngineSettings, SettingsError, load_settings
from exporters.settings import ExporterSettings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    import os

    for key in os.environ:
        if key.upper().startswith(("ENGINE_", "BOTS_", "EXPORTERS_")):
            monkeypatch.delenv(key)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """Where the .env of a test lies, not written yet."""
    return tmp_path / ".env"


def test_without_environment_and_file_all_are_defaults(env_file: Path) -> None:
    assert load_settings(EngineSettings, env_file) == EngineSettings.model_construct()


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> None:
    monkeypatch.setenv("ENGINE_SLOTS", "5")
    monkeypatch.setenv("engine_registry", "/somewhere/else")
    settings = load_settings(EngineSettings, env_file)
    assert (settings.slots, settings.registry) == (5, Path("/somewhere/else"))


def test_the_file_is_read(env_file: Path) -> None:
    env_file.write_text("# a comment\nENGINE_SLOTS=7\nENGINE_PROVIDER='cpu'\n")
    settings = load_settings(EngineSettings, env_file)
    assert (settings.slots, settings.provider) == (7, "cpu")


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, env_file: Path) -> None:
    env_file.write_text("ENGINE_SLOTS=7\nENGINE_MAX_BATCH=3\n")
    monkeypatch.setenv("ENGINE_SLOTS", "5")
    settings = load_settings(EngineSettings, env_file)
    assert (settings.slots, settings.max_batch) == (5, 3)


def test_the_file_of_the_working_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ENGINE_SLOTS=9\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings(EngineSettings).slots == 9


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("ENGINE_SLOT", "ENGINE_SLOTS"),
        ("ENGINE_MAXBATCH", "ENGINE_MAX_BATCH"),
        ("ENGINE_CONTEXT_TOKEN", "ENGINE_CONTEXT_TOKENS"),
        ("engine_thraeds", "ENGINE_THREADS"),
    ],
)
def test_a_misspelt_key_in_the_environment_stops_with_the_nearest_valid_one(
    monkeypatch: pytest.MonkeyPatch, env_file: Path, misspelt: str, nearest: str
) -> None:
    monkeypatch.setenv(misspelt, "4")
    with pytest.raises(SettingsError, match=rf"^{misspelt} in the environment is not .* did you mean {nearest}\?$"):
        load_settings(EngineSettings, env_file)


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("ENGINE_SLOT", "ENGINE_SLOTS"),
        ("ENGINE_NONSENSE", "ENGINE_"),
        ("ENGIN_SLOTS", "ENGINE_SLOTS"),
        ("ENGNIE_MAX_BATCH", "ENGINE_MAX_BATCH"),
        ("ENGINEWATCH_INTERVAL_S", "ENGINE_WATCH_INTERVAL_S"),
        ("engin_slots", "ENGINE_SLOTS"),
    ],
)
def test_a_misspelt_key_in_the_file_stops_with_the_nearest_valid_one(
    env_file: Path, misspelt: str, nearest: str
) -> None:
    env_file.write_text(f"ENGINE_THREADS=1\n{misspelt}=4\n")
    with pytest.raises(SettingsError, match=rf"^{misspelt} in .*\.env is not .* did you mean {nearest}\w*\?$"):
        load_settings(EngineSettings, env_file)


@pytest.mark.parametrize("kind", [EngineSettings, BotSettings, ExporterSettings])
def test_packages_share_a_file_without_minding_each_others_keys(env_file: Path, kind: type) -> None:
    lines = ["ENGINE_SLOTS=7", "BOTS_MAX_TOKENS=99", "EXPORTERS_CACHE_DIR=/cache", "DISCORD_TOKEN=abc", "PATH_TO=x"]
    env_file.write_text("\n".join(lines))
    settings = load_settings(kind, env_file)
    found = {getattr(settings, name, None) for name in ("slots", "max_tokens", "cache_dir")}
    assert found & {7, 99, Path("/cache")}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ENGINE_SLOTS", "0"),
        ("ENGINE_THREADS", "-1"),
        ("ENGINE_CONTEXT_TOKENS", "63"),
        ("ENGINE_PROVIDER", "tpu"),
        ("ENGINE_WATCH_INTERVAL_S", "0"),
        ("ENGINE_MAX_BATCH", "many"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_key(
    monkeypatch: pytest.MonkeyPatch, env_file: Path, key: str, value: str
) -> None:
    env_file.write_text(f"{key}={value}\n")
    with pytest.raises(SettingsError, match=rf"^{key}='{value}': Input should be .*; see \.env\.example$"):
        load_settings(EngineSettings, env_file)
    env_file.unlink()
    monkeypatch.setenv(key, value)
    with pytest.raises(SettingsError, match=rf"^{key}='{value}': Input should be "):
        load_settings(EngineSettings, env_file)


def test_settings_do_not_change(env_file: Path) -> None:
    settings = load_settings(EngineSettings, env_file)
    with pytest.raises(ValidationError, match="frozen"):
        settings.slots = 3  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize("kind", [EngineSettings, BotSettings, ExporterSettings])
def test_every_setting_says_what_it_is_for(kind: type) -> None:
    for name, field in kind.model_fields.items():  # type: ignore[attr-defined]  # each is a settings class
        assert field.description, name

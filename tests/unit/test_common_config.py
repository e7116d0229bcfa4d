from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from toros.cli.settings import as_yaml
from toros.common.config import Config, load_config, parse_config
from toros.common.config.section import Section
from toros.common.config.source import normal_key, without_password
from toros.common.config.template import render
from toros.common.database import make_engine
from toros.common.errors import ConfigurationError
from toros.common.own_names import value_of

SHIPPED = Path(__file__).parents[2] / "etc" / "toros.conf.yaml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sight: {}", "c:1: sight: unknown key (did you mean 'site'?)."),
        ("node: a\nsite: {latitude: 100}", "c:2: site.latitude: input should be less than"),
        ("services:\n  dome: {port: 1, thread: 3}", "c:2: services.dome.thread: unknown key (did"),
        ("services: {dmoe: {port: 3}}", "c:1: services.dmoe: unknown module (did you mean"),
        ("services: {dome: {}}", "c:1: services.dome: an address is needed"),
        ("a: [", "c:1: this is not YAML: "),
        ("- 1", "c:1: the configuration is a mapping of keys."),
        ("node: a\n\nnode: b", "c:3: node is given twice."),
        ("node: ${TOROS_NO_SUCH}", "c:1: node: the environment has no variable TOROS_NO_SUCH"),
        ("email: {password_file: /no/such}", "c:1: email.password_file: /no/such cannot be read"),
        ("devices: {mount: {alpaca: foo}}", "c:1: devices.mount.alpaca: 'foo' is not an address"),
        ("devices: {mount: {number: 1}}", "c:1: devices.mount.alpaca: this key is needed."),
        (
            "access: [{user: a, may: ['*']}]",
            "c:1: access.0.token: this key is needed (or token_file).",
        ),
        (
            "access:\n  - {user: a, token: b, may: ['*', dome_statsu]}",
            "c:2: access.0.may.1: unknown request (did you mean 'dome_status'?) (given: 'dome_st",
        ),
        (
            "node: a\naccess: [{user: a, token: b}, {user: a, token: c}]",
            "c:2: access: the user a is there twice.",
        ),
        ("email: {smtp_port: yes}", "c:1: email.smtp_port: input should be a number (given: True)"),
        (
            "preprocessor: {gain: .inf}",
            "c:1: preprocessor.gain: input should be a finite number (g",
        ),
        (
            "lvcgcn:\n  fields_of_view_deg: {MACON: .inf}",
            "c:2: lvcgcn.fields_of_view_deg.MACON: input should be a finite number (given: inf).",
        ),
        (
            "preprocessor:\n  masters_max_age_days: 1.0e+6",
            "c:2: preprocessor.masters_max_age_days: input should be less than or equal to 36525, "
            "a century (given: 1000000.0).",
        ),
        (
            "node: a\ndata: {raw: ~/raw}",
            "c:2: data.raw: ~ is not known to a service: write the whole path (given: '~/raw').",
        ),
        ("services: {dome: {port: no}}", "c:1: services.dome.port: input should be a number"),
        (
            "services:\n  dome: {port: 8080}\n  web: {http: 'http://127.0.0.1:8080'}",
            "c:1: services: dome and web have the same address, 127.0.0.1:8080.",
        ),
        ("node: a\ndatabase: {url: 'mysql://x'}", "c:2: database.url: this is no address of a"),
        ("node: 5", "c:1: node: input should be a valid string (given: 5)."),
        ("data: {raw: /d, products: /d/.}", "c:1: data: raw and products are two folders, neither"),
        ("node: a\ndata: {raw: /data, products: /data/p}", "c:2: data: raw and products are two"),
        ("data: {raw: d/p/raw, products: d/p}", "c:1: data: raw and products are two folders"),
        ("clock: {start: 2017-08-17}", "c:1: clock: start and anchor go together."),
    ],
)
def test_an_error_names_the_line_the_key_and_the_mend(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text, "c")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def sections(above: type[Section] = Section) -> Iterator[type[Section]]:
    for section in above.__subclasses__():
        yield section
        yield from sections(section)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_no_setting_is_infinite_or_no_number(value: float) -> None:
    asked = 0
    for section in sections():
        for name, field in section.model_fields.items():
            if field.annotation in (float, float | None):
                asked += 1
                with pytest.raises(ValidationError) as refused:
                    section.model_validate({name: value})
                assert name in [error["loc"][0] for error in refused.value.errors()], section
    assert asked > 100


@pytest.mark.parametrize("written", ["off", '"off"'])
def test_off_is_off_with_and_without_quotes(written: str) -> None:
    config = parse_config(f"preprocessor: {{overscan: {written}}}")
    assert config.preprocessor.overscan == "off"


def test_raw_and_products_may_lie_beside_each_other() -> None:
    assert parse_config("data: {raw: /d/raw, products: /d/raw2}").data.raw == Path("/d/raw")


def test_a_link_does_not_hide_that_products_are_among_the_raw_files(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    with pytest.raises(ConfigurationError, match="neither within the other"):
        parse_config(f"data: {{raw: {tmp_path}/raw, products: {tmp_path}/link/products}}")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such configuration"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("key", ["Log Level", "log-level", "LOG_LEVEL", "log level"])
def test_keys_match_whatever_their_case_and_separators(key: str) -> None:
    assert parse_config(f"Logging: {{{key}: DEBUG}}").logging.log_level == "DEBUG"


def test_names_of_the_users_own_stay_as_they_are_written() -> None:
    config = parse_config(
        """
Lvcgcn:
  Fields of View Deg: {MACON: 0.4, La Palma-2: 1.0}
  trigger: {classes: {BNS: 0.1}}
  sources: {kafka: [{brokers: b, topics: [t], options: {Client.Id: a}}]}
telescope: {focus: {filter_offsets: {r: -10, R: 20, Hα: 5}}}
"""
    )
    assert config.lvcgcn.fields_of_view_deg == {"MACON": 0.4, "La Palma-2": 1.0}
    assert config.lvcgcn.trigger.classes == {"BNS": 0.1}
    assert config.lvcgcn.sources.kafka[0].options == {"Client.Id": "a"}
    assert config.telescope.focus.filter_offsets == {"r": -10, "R": 20, "Hα": 5}
    assert set(parse_config("services: {Quality-Monitor: {port: 1}}").services) == {
        "quality_monitor"
    }


@pytest.mark.parametrize(
    ("name", "found"), [("MACON", 1), ("macon", 1), ("r", 2), ("R", 3), ("g", None), ("HA", None)]
)
def test_what_is_set_for_a_name_is_found_if_only_its_case_differs(
    name: str, found: int | None
) -> None:
    assert value_of({"MACON": 1, "r": 2, "R": 3, "Ha": 4, "hA": 5}, name) == found


def test_a_service_address_of_the_predecessor_is_a_service() -> None:
    text = "Preprocessor Service Address: {HTTP: 'http://127.0.0.1:9', IP: 127.0.0.1, Port: 9}"
    config = parse_config(text)
    service = config.service("preprocessor")
    assert (service.host, service.listening_port) == ("127.0.0.1", 9)
    assert config.url_of("preprocessor") == "http://127.0.0.1:9"


def test_a_service_address_may_not_say_two_ports() -> None:
    with pytest.raises(ConfigurationError, match="http says port 9, port says 8"):
        parse_config("services: {dome: {http: 'http://127.0.0.1:9', port: 8}}")


def test_secrets_come_from_files_and_are_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("swordfish\n")
    config = parse_config(f"email: {{password_file: {secret}}}")
    assert config.email.password is not None
    assert config.email.password.get_secret_value() == "swordfish"
    assert "swordfish" not in repr(config)


def test_secrets_are_not_shown_where_they_are_wrong(tmp_path: Path) -> None:
    for text in ("access: [{user: a, token: 918273}]", "database: {url: 'oracle://u:918273@h/d'}"):
        with pytest.raises(ConfigurationError) as caught:
            parse_config(text)
        assert "918273" not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        make_engine("postgresql+nodriver://u:918273@h/d")
    assert "u:**********@h" in str(caught.value)


def test_the_configuration_is_shown_without_the_databases_password() -> None:
    elsewhere = parse_config(
        """
        database: {url: "postgresql+psycopg://u:9182/73@h/d?password=918273"}
        services: {dome: {http: "http://u:918273@127.0.0.1:1"}}
        data: {allowed_sources: ["https://u:918273@h.example.org"]}
        """
    )
    assert "918273" not in as_yaml(elsewhere)
    assert "/73" not in as_yaml(elsewhere)
    shown = as_yaml(parse_config("database: {url: 'postgresql+psycopg://u:918273@h/d'}"))
    assert "url: postgresql+psycopg://u:**********@h/d" in shown


@pytest.mark.parametrize("password", ["91/82", "91@82", "91:82", "91/8@2:7"])
def test_no_part_of_a_password_is_shown_whatever_is_in_it(password: str) -> None:
    shown = without_password(f"postgresql+psycopg://u:{password}@h:5432/d")
    assert shown == "postgresql+psycopg://u:**********@h:5432/d"
    for plain in ("sqlite:////var/lib/toros/toros.db", "http://h:8080/a", "not yet"):
        assert without_password(plain) == plain


def test_text_that_is_not_utf_8_and_a_folder_are_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"node: \xff")
    with pytest.raises(ConfigurationError, match="is not text in UTF-8 \\(byte 7\\)"):
        load_config(tmp_path / "c.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read \\(Is a directory\\)"):
        load_config(tmp_path)


def test_variables_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "x:y")
    url = "postgresql+psycopg://u:${DB_PASSWORD}@h/toros"
    assert parse_config(f'database: {{url: "{url}"}}').database.url.endswith("u:x:y@h/toros")


@pytest.mark.parametrize("name", ["operator's lock", "Sun", "safety monitor 3", "mains power"])
def test_no_command_has_the_name_of_another_source_of_safety(name: str) -> None:
    """An override of the one would be one of the other, too."""
    other = {"name": "mains power", "command": ["true"]}
    with pytest.raises(ConfigurationError, match="name of another source"):
        parse_config(json.dumps({"dome": {"commands": [other, {**other, "name": name}]}}))


def test_the_shipped_file_says_the_defaults() -> None:
    config = load_config(SHIPPED)
    assert config.model_copy(update={"services": {}}) == Config()


def test_the_shipped_file_is_what_the_command_prints() -> None:
    assert SHIPPED.read_text() == render(), "toros config template > etc/toros.conf.yaml"


@given(st.text(alphabet="abz _-", min_size=1))
def test_a_normal_key_is_stable(key: str) -> None:
    assert normal_key(normal_key(key)) == normal_key(key)


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_one_clear_error(text: str) -> None:
    with suppress(ConfigurationError):
        parse_config(text, "c")

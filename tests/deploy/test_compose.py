"""compose.yaml: it says what Compose understands, and it fits the image, the example configuration and .gitignore."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML

from config.load import load
from router.settings import Address, parse_duration
from tests.acceptance.daemon import STOP_S
from tests.config.test_shipped import ENV
from tests.deploy.dockerfile import ROOT, ignored, instructions, last

EXAMPLE = ROOT / "config" / "examples" / "container.yaml"


class Part(BaseModel):
    """A part of the Compose specification, with the keys that are used here: any other is a mistake, or new."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Wait(Part):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class HealthCheck(Part):
    test: list[str]
    interval: str
    timeout: str
    retries: int


class Logging(Part):
    driver: Literal["local", "journald", "json-file"]


class Service(Part):
    image: str
    restart: Literal["no", "always", "on-failure", "unless-stopped"]
    logging: Logging
    stop_grace_period: str
    build: str = ""
    depends_on: dict[str, Wait] = {}
    ports: list[str] = []
    environment: dict[str, str] = {}
    volumes: list[str] = []
    secrets: list[str] = []
    healthcheck: HealthCheck | None = None
    init: bool = False
    read_only: bool = False
    tmpfs: list[str] = []
    cap_drop: list[str] = []
    security_opt: list[str] = []
    mem_limit: str = ""
    pids_limit: int = 0


class SecretFile(Part):
    file: str


class Compose(Part):
    name: str
    services: dict[str, Service]
    secrets: dict[str, SecretFile]
    volumes: dict[str, None]


@pytest.fixture(scope="module")
def data():
    """What is in the file."""
    return YAML(typ="safe", pure=True).load(ROOT / "compose.yaml")


@pytest.fixture(scope="module")
def compose(data):
    """The file, checked."""
    return Compose.model_validate(data)


@pytest.fixture(scope="module")
def example():
    """The configuration that goes with it."""
    return load(EXAMPLE, env=ENV)


def test_a_mistake_would_be_found(compose, data):
    """A key that Compose doesn't know is refused here."""
    with pytest.raises(ValidationError):
        Compose.model_validate(data | {"services": {"signpost": data["services"]["signpost"] | {"restarts": "no"}}})


def test_what_is_named_is_declared(compose):
    """Secrets, volumes and neighbours; one that is waited for to be healthy has a check of its health."""
    for service in compose.services.values():
        assert set(service.secrets) <= set(compose.secrets)
        assert {each.partition(":")[0] for each in service.volumes} - set(compose.volumes) <= {"./district"}
        for neighbour, wait in service.depends_on.items():
            assert wait.condition != "service_healthy" or compose.services[neighbour].healthcheck
    assert {each for service in compose.services.values() for each in service.secrets} == set(compose.secrets)


def test_it_comes_back_after_a_restart_and_stops_in_peace(compose):
    """Both services are started again, and get longer to stop than they need."""
    for service in compose.services.values():
        assert service.restart == "unless-stopped"
        assert parse_duration(service.stop_grace_period).total_seconds() > STOP_S


def test_only_this_machine_can_reach_it(compose, example):
    """Ports are open on loopback only, the database's not at all; each is one that the daemon listens on."""
    listens = {
        example.http.listen,
        *(each.settings.listen for each in example.channels.values() if hasattr(each.settings, "listen")),
    }
    assert compose.services["db"].ports == []
    published = compose.services["signpost"].ports
    assert all(each.startswith("127.0.0.1:") for each in published)
    assert {Address("0.0.0.0", int(each.rpartition(":")[2])) for each in published} == listens
    assert set(last("EXPOSE").split()) == {str(each.port) for each in listens}


def test_the_daemon_can_write_to_its_one_folder_only(compose):
    """Everything but the image's volume and /tmp is read-only, and the container has no power over its host."""
    service = compose.services["signpost"]
    assert service.read_only
    assert f"state:{last('VOLUME')}" in service.volumes
    assert service.tmpfs == ["/tmp"]
    assert service.cap_drop == ["ALL"]
    assert service.security_opt == ["no-new-privileges:true"]
    assert [each for each in service.volumes if each.startswith(".") and not each.endswith(":ro")] == []


def test_the_configuration_fits(compose, example):
    """It is where the image looks, reaches the database by its name, and asks for the secrets that are handed in."""
    assert "SIGNPOST_CONFIG=/etc/signpost/signpost.yaml" in last("ENV")
    assert "./district:/etc/signpost:ro" in compose.services["signpost"].volumes
    assert "CREDENTIALS_DIRECTORY=/run/secrets " in last("ENV")
    database = compose.services["db"].environment
    assert example.store.url == f"postgresql://{database['POSTGRES_USER']}@db/{database['POSTGRES_DB']}"
    assert database["POSTGRES_PASSWORD_FILE"] == f"/run/secrets/{example.store.password_file}"
    wanted = set(re.findall(r"_file: (\w+)", EXAMPLE.read_text()))
    assert wanted == set(compose.services["signpost"].secrets)


def test_secrets_and_the_districts_own_file_stay_on_the_machine(compose):
    """Neither git nor the image takes what is in those folders."""
    hidden = (ROOT / ".gitignore").read_text().splitlines()
    for secret in compose.secrets.values():
        assert secret.file.startswith("./secrets/")
        assert ignored(secret.file.removeprefix("./"))
    assert {"/secrets/", "/district/"} <= set(hidden)
    assert not any("secret" in text for stage in instructions() for name, text in stage if name in {"COPY", "RUN"})

"""The settings of the way to Home Assistant."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from appliance.config.kinds import Host, LocalPath, Secret, Section, Text, Topic
from appliance.config.problem import BadSettingError


def _text(value: object) -> object:
    """Take the number 5 for the word."""
    return str(value) if value == 5 else value


class Tls(Section):
    """TLS to the broker."""

    enabled: bool = Field(default=False, strict=True, description="Whether the broker is spoken to by TLS.")
    ca_file: LocalPath | None = Field(
        default=None, description="PEM file with the authorities to trust as well. null: the system's alone."
    )
    cert_file: LocalPath | None = Field(
        default=None, description="PEM file with the certificate that we show. null: none."
    )
    key_file: LocalPath | None = Field(default=None, description="PEM file with its key. null: it is in cert_file too.")
    key_password: Secret | None = Field(default=None, description="What opens the key. null: it is not locked.")
    verify: bool = Field(
        default=True, strict=True, description="false: any certificate of the broker's is taken; only to try things."
    )

    @field_validator("key_file")
    @classmethod
    def _has_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("cert_file", "") is None:
            raise BadSettingError("is set without a certificate", "set mqtt.tls.cert_file too")
        return value


class Mqtt(Section):
    """The MQTT broker that Home Assistant listens to."""

    enabled: bool = Field(default=True, strict=True, description="false: Home Assistant is told nothing.")
    host: Host = Field(default="localhost", description="Host name or address of the broker.")
    port: int = Field(default=1883, strict=True, ge=1, le=65535, description="TCP port of the broker.")
    username: Text | None = Field(default=None, description="User name at the broker. null: none.")
    password: Secret | None = Field(default=None, description="Password at the broker; needs a user name. null: none.")
    password_file: LocalPath | None = Field(
        default=None, description="File whose first line is the password, as container secrets are. null: none."
    )
    protocol: Annotated[Literal["auto", "5", "3.1.1"], BeforeValidator(_text)] = Field(
        default="auto", description="MQTT's version. auto: 5, or 3.1.1 where the broker knows nothing newer."
    )
    tls: Tls = Field(default_factory=Tls, description="TLS to the broker.")
    discovery_prefix: Topic = Field(
        default="homeassistant", description="First part of the discovery topics, as set in Home Assistant."
    )
    birth_topic: Topic = Field(
        default="homeassistant/status", description="Topic on which Home Assistant says that it is there."
    )
    birth_payload: Text = Field(default="online", description="The word with which it says so.")
    keepalive: int = Field(
        default=30,
        strict=True,
        ge=5,
        le=300,
        description="Seconds between signs of life to the broker. The broker waits one and a half times as "
        "long before it reports Porchlight gone.",
    )

    @field_validator("password", "password_file")
    @classmethod
    def _has_a_user(cls, value: SecretStr | Path | None, info: ValidationInfo) -> SecretStr | Path | None:
        if value is not None and info.data.get("username", "") is None:
            raise BadSettingError("is set without a user name", "set mqtt.username too")
        return value

    @field_validator("password_file")
    @classmethod
    def _is_the_only_one(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("password") is not None:
            raise BadSettingError("is set beside mqtt.password", "set one of them")
        return value

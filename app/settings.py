"""The one Settings object, read from the environment at the edges and passed on."""

from __future__ import annotations

import ipaddress
import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PROJECT: Final = Path(__file__).resolve().parents[1]
"""The folder that holds `app`, `workers`, `templates`, `migrations` and `models`."""

CATALOG_MEMORY_MB: Final = 185
"""Room for every column and all codes of a million photos, with which a web process stays below 400 MB."""
_RENAMED: Final = {"PACKSHOT_IS_PLAIN_HTTP_ALLOWED": "PACKSHOT_ALLOW_PLAIN_HTTP"}


class Settings(BaseSettings):
    """Every setting, its meaning and its default. Environment variables carry the prefix `PACKSHOT_`.

    Raises pydantic.ValidationError for a value that cannot be used or would be unsafe.
    """

    model_config = SettingsConfigDict(env_prefix="PACKSHOT_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default=Path("packshot-data"), description="Folder that holds everything: database, files, models, logs."
    )
    database_url: str | None = Field(
        default=None,
        description="PostgreSQL of the team, e.g. postgresql://user:password@host/name. "
        "Unset: the embedded server in the data folder.",
    )
    redis_url: str | None = Field(
        default=None, description="Redis of the team, e.g. redis://host:6379/0. Unset: the embedded server."
    )
    host: str = Field(
        default="127.0.0.1", description="Address the web app listens on; loopback unless told otherwise."
    )
    port: int = Field(default=8700, ge=0, le=65535, description="Port of the web app; 0 takes a free one.")
    public_url: str | None = Field(
        default=None, description="Address people use, e.g. https://packshot.example.org; turns on secure cookies."
    )
    allow_plain_http: bool = Field(
        default=False,
        description="Allow a non-loopback address without an https public_url, e.g. behind a trusted proxy.",
    )
    gpu_hour_price: Decimal | None = Field(
        default=None,
        ge=0,
        description="What an hour on one device costs, in `currency`. Unset: money is not counted.",
    )
    budget: Decimal = Field(default=Decimal("80"), gt=0, description="Money of one cycle, in `currency`.")
    currency: str = Field(
        default="€", min_length=1, max_length=3, description="Sign of the currency, shown before amounts."
    )
    cycle_hours: int = Field(default=24, ge=1, le=240, description="Length of one cycle, in hours.")
    base_model: str = Field(
        default="models/nano", description="Base model a run starts from: a diffusers folder or a hub id."
    )
    caption_model: str | None = Field(
        default=None,
        description="Image-to-text model for captions: a local folder, or a hub id, MAKER/MODEL or MAKER/MODEL@COMMIT. "
        "Unset: captions from facts only.",
    )
    caption_server: str | None = Field(
        default=None,
        description="Address of a server that speaks chat completions (vLLM, SGLang, Ollama, OpenAI), up to and with "
        "/v1: caption_model names a model there then, and photos are sent to it. Unset: the model runs here.",
    )
    caption_server_key: SecretStr | None = Field(default=None, description="Key that the caption server asks for.")
    caption_server_at_once: int = Field(
        default=8, ge=1, le=256, description="Photos that the caption server is asked about at once."
    )
    caption_server_timeout_s: int = Field(
        default=120, ge=1, le=3600, description="Seconds within which the caption server answers, or is asked again."
    )
    caption_price_in: Decimal = Field(
        default=Decimal(0), ge=0, description="What a million tokens of questions and photos cost, in `currency`."
    )
    caption_price_out: Decimal = Field(
        default=Decimal(0), ge=0, description="What a million tokens of answers cost, in `currency`."
    )
    caption_spend_limit: Decimal | None = Field(
        default=None,
        ge=0,
        description="What captioning one selection may cost at the caption server, in `currency`; needs a price. "
        "Unset: no limit.",
    )
    embedder: str | None = Field(
        default=None,
        description="Model by which photos are compared, SigLIP, CLIP or DINO: a local folder, or a hub id, "
        "MAKER/MODEL or MAKER/MODEL@COMMIT. Unset: EfficientNet-Lite0, which is built in and reads no words.",
    )
    chromium: str | None = Field(
        default=None,
        description="Chromium or Chrome that prints reports as PDF: a path, or a name on the PATH. "
        "Unset: the first that is on the PATH; without one there is no PDF.",
    )
    max_image_megapixels: int = Field(
        default=60, ge=1, le=2000, description="Larger images are refused at intake, before they are decoded."
    )
    intake_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="Folders of this machine, parted by colons, that owners may take photos in from, with all below. "
        "Unset: the home folder and the data folder.",
    )
    private_photo_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Hosts inside your network that photos may be fetched from where a table names them, parted by "
        "commas: names, addresses or networks (dam.example.lan,10.1.0.0/16). Unset: the public internet only.",
    )
    disk_reserve_mb: int = Field(
        default=1024,
        ge=0,
        le=10_000_000,
        description="Free space in MB that uploads, photos, checkpoints and samples leave on the data folder's disk, "
        "so that the database goes on.",
    )
    catalog_memory_mb: int = Field(
        default=CATALOG_MEMORY_MB,
        ge=1,
        le=1_000_000,
        description="What each web process keeps of catalogs in memory, in MB: columns that filters, counts and orders "
        "ask for, and codes of how photos look. What nobody asked for longest goes first and is read again when it is "
        "asked for; what each page asks for of the catalog shown last stays.",
    )
    upload_quota_mb: int = Field(
        default=20_480,
        ge=1,
        le=1_000_000_000,
        description="What a lead's uploads may take of the disk, in MB: files on their way, photos taken in from "
        "them, and what is made of these. Owners have no quota.",
    )
    sign_in_idle_hours: int = Field(
        default=72, ge=1, le=720, description="Hours without a request after which a browser is signed out."
    )
    teacher_models: tuple[Path, ...] = Field(
        default=(),
        description='Folders of DINO and LPIPS models that a run may learn from, as a JSON list: ["/models/dinov2"]. '
        "No other folder can be named.",
    )
    device: str | None = Field(
        default=None,
        description="Device of the gpu worker: a number or identifier that nvidia-smi lists, or cpu:0. "
        "Unset: the first that is free.",
    )
    # With all cores, torch falls to a fraction of its speed as soon as anything else runs; with one less it hardly
    # notices (2 cores: 2.5 steps/s on both, 2.0 on one, 0.2 on both beside another busy process).
    worker_threads: int = Field(
        default_factory=lambda: max(1, (os.cpu_count() or 2) - 1),
        ge=1,
        le=256,
        description="CPU threads the gpu worker's torch may use.",
    )

    @field_validator("caption_server")
    @classmethod
    def _refuse_what_is_no_server(cls, url: str | None) -> str | None:
        try:
            parts = urlsplit(url or "http://localhost")
            is_server = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_server = False
        if not is_server or parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "PACKSHOT_CAPTION_SERVER must be an address like http://gpu.example.lan:8000/v1, without a name, "
                "password or question mark; the key goes into PACKSHOT_CAPTION_SERVER_KEY."
            )
        if not url:
            return None
        # People copy the whole address of a request, or the host alone.
        address = url.rstrip("/").removesuffix("/chat/completions")
        return address if urlsplit(address).path else f"{address}/v1"

    @model_validator(mode="after")
    def _refuse_half_a_server(self) -> Settings:
        if self.caption_server is not None and self.caption_model is None:
            raise ValueError("PACKSHOT_CAPTION_SERVER needs PACKSHOT_CAPTION_MODEL: the model's name at the server.")
        has_price = self.caption_price_in > 0 or self.caption_price_out > 0
        if self.caption_spend_limit is not None and not has_price:
            raise ValueError(
                "PACKSHOT_CAPTION_SPEND_LIMIT needs a price: set PACKSHOT_CAPTION_PRICE_IN and "
                "PACKSHOT_CAPTION_PRICE_OUT."
            )
        return self

    @field_validator("private_photo_hosts", mode="before")
    @classmethod
    def _part_hosts(cls, hosts: Any) -> Any:
        return tuple(part.strip() for part in hosts.split(",") if part.strip()) if isinstance(hosts, str) else hosts

    @field_validator("intake_roots", mode="before")
    @classmethod
    def _part_roots(cls, roots: Any) -> Any:
        return [part for part in roots.split(os.pathsep) if part] if isinstance(roots, str) else roots

    @model_validator(mode="after")
    def _refuse_relative_roots(self) -> Settings:
        for root in self.intake_roots:
            if not root.is_absolute():
                raise ValueError(f"PACKSHOT_INTAKE_ROOTS names {root}, which is not a full path; start it with /.")
        return self

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders that photos may be taken in from."""
        return self.intake_roots or (Path.home(), self.data_dir.resolve())

    @model_validator(mode="before")
    @classmethod
    def _refuse_old_names(cls, values: Any) -> Any:
        """A setting that goes unread is worse than one that is refused."""
        for old, new in _RENAMED.items():
            if old in os.environ:
                raise ValueError(f"{old} is called {new} now; rename it.")
        return values

    @field_validator("database_url")
    @classmethod
    def _use_psycopg(cls, url: str | None) -> str | None:
        """SQLAlchemy wants the driver in the URL; people write plain postgresql://."""
        if url is None:
            return None
        for prefix in ("postgres://", "postgresql://"):
            if url.startswith(prefix):
                return "postgresql+psycopg://" + url.removeprefix(prefix)
        if not url.startswith("postgresql+psycopg://"):
            raise ValueError(
                "PACKSHOT_DATABASE_URL must be a PostgreSQL address: postgresql://user:password@host/name."
            )
        return url

    @field_validator("public_url")
    @classmethod
    def _refuse_what_is_no_address(cls, url: str | None) -> str | None:
        """Every request is compared with it, so it has to be one."""
        try:
            parts = urlsplit(url or "http://localhost")
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_address = False
        if not is_address:
            raise ValueError("PACKSHOT_PUBLIC_URL must be an address: https://packshot.example.org.")
        return url or None

    @property
    def disk_reserve_bytes(self) -> int:
        """`disk_reserve_mb` in bytes."""
        return self.disk_reserve_mb << 20

    @property
    def has_https(self) -> bool:
        """Whether people come by https, through a proxy in front."""
        return (self.public_url or "").startswith("https://")

    @model_validator(mode="after")
    def _refuse_open_plain_http(self) -> Settings:
        if not is_loopback(self.host) and not self.has_https and not self.allow_plain_http:
            raise ValueError(
                f"Listening on {self.host} without https would send passwords in the clear. Set PACKSHOT_PUBLIC_URL "
                "to an https address, or PACKSHOT_ALLOW_PLAIN_HTTP=true if a trusted proxy stands in front."
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

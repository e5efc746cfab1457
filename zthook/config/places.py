"""Where zthook keeps its files; each folder can be moved by an environment variable."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Places:
    """The three folders, and the files in them that more than one module names."""

    config: Path
    state: Path
    runtime: Path

    @classmethod
    def from_environment(cls) -> Self:
        """Read ``ZTHOOK_CONFIG_DIR``, ``ZTHOOK_STATE_DIR`` and ``ZTHOOK_RUNTIME_DIR``."""
        return cls(
            Path(os.environ.get("ZTHOOK_CONFIG_DIR", "/etc/zthook")),
            Path(os.environ.get("ZTHOOK_STATE_DIR", "/var/lib/zthook")),
            Path(os.environ.get("ZTHOOK_RUNTIME_DIR", "/run/zthook")),
        )

    @property
    def host_config(self) -> Path:
        return self.config / "host.toml"

    @property
    def edge_config(self) -> Path:
        return self.config / "edge.toml"

    @property
    def credential(self) -> Path:
        """What `zthook join` was given: edge's address and id, CA, credential (0600)."""
        return self.state / "credential.json"

    @property
    def entry(self) -> Path:
        """What `zthook join` did to ZeroTier here, which `leave` undoes."""
        return self.state / "entry.json"

    @property
    def store(self) -> Path:
        return self.state / "edge.sqlite"

    @property
    def edge_keys(self) -> Path:
        """Folder of ca.pem, ca.key, edge.pem, edge.key (0700)."""
        return self.state / "keys"

    @property
    def web_token(self) -> Path:
        """What of the token is kept that the edge's web page is seen with (0600)."""
        return self.state / "web-token"

    @property
    def edge_journal(self) -> Path:
        """What the edge changed in zerotier-one's local.conf (0600)."""
        return self.state / "edge-local.conf.json"

    @property
    def host_journal(self) -> Path:
        """What the agent changed in zerotier-one's local.conf (0600)."""
        return self.state / "host-local.conf.json"

    @property
    def hook_socket(self) -> Path:
        return self.runtime / "hook.sock"

    @property
    def addresses(self) -> Path:
        """What the agent knew last of its guests' addresses."""
        return self.runtime / "addresses.json"

    @property
    def told(self) -> Path:
        """What the edge told the agent last."""
        return self.runtime / "told.json"

    @property
    def agent_socket(self) -> Path:
        return self.runtime / "agent.sock"

    @property
    def edge_socket(self) -> Path:
        return self.runtime / "edge.sock"

"""Kernels that papermill reaches without TCP ports; run as a script this is papermill with such a kernel.

Jupyter looks for five free ports, and the kernel listens on them a moment later. Another process can take one of them
meanwhile, and the chapter fails. Linux has sockets with names, and a name drawn at random is nobody else's. Elsewhere
ports are used. No module of popview is imported, so that `popview.book.forked` can load this one by its path.
"""

import importlib
import sys
import uuid
from types import SimpleNamespace
from typing import Any, cast

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner


class Named(LocalProvisioner):
    """A kernel of this machine, with sockets that have a name."""

    async def pre_launch(self, **given: Any) -> dict[str, Any]:
        """Name the sockets, before Jupyter would look for ports."""
        manager: Any = self.parent
        if sys.platform == "linux":
            manager.transport, manager.ip = "ipc", f"@{uuid.uuid4().hex}"
        return await super().pre_launch(**given)


def give_to_papermill(provisioner: type[LocalProvisioner] = Named) -> None:
    """Let Jupyter start kernels in this way from now on."""
    factory = KernelProvisionerFactory.instance()
    factory.provisioners["popview"] = cast(Any, SimpleNamespace(load=lambda: provisioner))
    factory.default_provisioner_name = "popview"


if __name__ == "__main__":
    give_to_papermill()
    importlib.import_module("papermill.cli").papermill()

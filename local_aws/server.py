"""The server: moto behind the overlay on a loopback port, and the components that execute work."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from local_aws.athena.component import AthenaComponent
from local_aws.authentication import Authentication
from local_aws.clients import Clients
from local_aws.data_dir import CLASSES, OBJECTS, STEPS
from local_aws.emr.component import EmrComponent
from local_aws.emr.launch import Launcher, SparkLauncher
from local_aws.eventbridge.schedules import Schedules
from local_aws.eventbridge.status_events import StatusEvents
from local_aws.glue.component import CrawlerComponent
from local_aws.keys import announce, forget, keys_of
from local_aws.lambda_.invoke import Invocations
from local_aws.lambda_.run import Functions
from local_aws.mirror import Mirror
from local_aws.moto_patches import list_modules_once, treat_loopback_as_tls
from local_aws.overlay import Handler, Overlay
from local_aws.state_log import StateLog
from local_aws.state_recorder import StateRecorder
from local_aws.step_functions.component import StepFunctionsComponent
from local_aws.unsupported import UnsupportedOperations, UnsupportedPaths
from local_aws.wsgi import WsgiApp

log = logging.getLogger(__name__)

HOST = "127.0.0.1"  # loopback only: this server executes what it receives


class Component(Protocol):
    """One AWS service that executes work: the operations that it answers, and how it stops."""

    def handlers(self) -> Mapping[str, Handler]:
        """Its operations by ``"Service.Operation"``, as in ``X-Amz-Target``."""

    def close(self) -> None:
        """Stops all threads and processes that it started; must not raise; can be repeated."""


class LocalAws:
    """The stand-in on one port: ``start`` it, give its ``url`` to any AWS client, ``stop`` it.

    ``data_dir`` holds the lake's objects, the state log, and the logs of running steps. A server
    continues with the lake that an earlier one left there; ``notes`` lists inconsistencies.
    ``launcher`` runs the applications of EMR steps; the default is Spark, for which ``start``
    raises ``JavaNotFound`` if there is no Java.
    """

    def __init__(self, data_dir: Path, port: int = 0, launcher: Launcher | None = None) -> None:
        self._data_dir = data_dir
        self.notes: list[str] = []
        self._state_log = StateLog(data_dir)
        # Bind now, so that a port in use is reported first and a free port cannot be taken by
        # another program.
        self._socket = socket.create_server((HOST, port))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._launcher = launcher
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._components: list[Component] = []
        self.keys = keys_of(data_dir)
        self._clients = Clients(self.url, self.keys)
        self._mirror = Mirror(self._clients, data_dir / OBJECTS, self._state_log)
        self._functions = Functions(self._clients, data_dir / STEPS)

    def start(self, around: Callable[[WsgiApp], WsgiApp] = lambda app: app) -> None:
        """Answers requests from here on. ``around`` may wrap the application in a layer."""
        # moto's interpreter calls this port; moto reads it when it is imported
        os.environ["MOTO_PORT"] = str(self.port)
        # makes moto load AWS's managed policies, which roles use (0.8 s at the first request)
        os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
        from moto.server import DomainDispatcherApplication, create_backend_app  # type: ignore[attr-defined]
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            """HTTP/1.1 with keep-alive; requests are logged at debug level only."""

            protocol_version = "HTTP/1.1"

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                log.debug("%s %s", self.requestline, code)

        treat_loopback_as_tls()
        list_modules_once()
        moto = UnsupportedPaths(DomainDispatcherApplication(create_backend_app))
        overlay = Overlay(Invocations(Schedules(moto, self._clients), self._functions))
        self._launcher = self._launcher or SparkLauncher(self._data_dir / CLASSES)
        self._components = self._make_components(self._launcher)
        for component in self._components:
            overlay.register(component.handlers())
        recorder = StateRecorder(around(overlay), self._state_log, self._mirror.update)
        fd = self._socket.fileno()
        authenticated = Authentication(recorder, self.keys)
        self._server = make_server(
            HOST, self.port, authenticated, threaded=True, request_handler=Quiet, fd=fd
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="local-aws", daemon=True
        )
        self._thread.start()
        announce(self.port, self.keys)
        recorder.restore()
        self.notes += self._mirror.restore(recorder.put_object)

    def _make_components(self, launcher: Launcher) -> list[Component]:
        clients, state_log = self._clients, self._state_log
        return [
            UnsupportedOperations(),
            EmrComponent(clients, self._data_dir, self._mirror, launcher, state_log),
            CrawlerComponent(clients),
            AthenaComponent(clients),
            StepFunctionsComponent(
                clients, StatusEvents(clients, self._functions).ended, state_log
            ),
        ]

    def stop(self) -> None:
        """Ends running steps and queries, then the server; can be repeated."""
        self._functions.close()
        while self._components:
            self._components.pop().close()
        if self._server is not None:
            self._mirror.refresh()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        forget(self.port)
        self._socket.close()
        self._state_log.close()

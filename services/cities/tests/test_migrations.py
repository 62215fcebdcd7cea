"""The new stack migrates while the old one serves: so migrations add, and nothing that old code uses goes away."""

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

MARK = "safe_beside_older_code"  # a migration's attribute that says why it may do what is refused here
_HARMLESS = (migrations.AlterModelOptions, migrations.AlterModelManagers, migrations.AddIndex)


def refused(migration: migrations.Migration) -> list[str]:
    """The operations that older code may not survive, unless the migration is marked with a reason."""
    if getattr(migration, MARK, ""):
        return []
    created = {
        operation.name_lower for operation in migration.operations if isinstance(operation, migrations.CreateModel)
    }
    return [operation.describe() for operation in migration.operations if not _only_adds(operation, created)]


def _only_adds(operation: Operation, created: set[str]) -> bool:
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return all(_only_adds(inner, created) for inner in operation.database_operations)
    if getattr(operation, "model_name_lower", None) in created:
        return True  # a table that older code does not know
    if isinstance(operation, migrations.AddField):
        field = operation.field
        return field.null or field.db_default is not NOT_PROVIDED or field.many_to_many
    return isinstance(operation, (migrations.CreateModel, *_HARMLESS))


def test_our_migrations_only_add():
    ours = [migration for (app, _), migration in MigrationLoader(None).disk_migrations.items() if app == "cities"]

    assert ours
    assert {migration.name: refused(migration) for migration in ours} == {migration.name: [] for migration in ours}


def test_every_change_of_the_models_has_its_migration(db):
    assert apps.get_app_config("cities")
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RemoveField("city", "name"),
        migrations.DeleteModel("City"),
        migrations.RenameField("city", "name", "title"),
        migrations.RenameModel("City", "Town"),
        migrations.AlterField("city", "name", models.CharField(max_length=10)),
        migrations.AlterModelTable("City", "towns"),
        migrations.AddField("city", "mayor", models.CharField(max_length=10, default="nobody")),
        migrations.AddConstraint("city", models.CheckConstraint(condition=models.Q(name__gt=""), name="named")),
        migrations.RemoveConstraint("event", "event_once_per_writer"),
        migrations.RemoveIndex("event", "event_count"),
        migrations.RunSQL("DELETE FROM cities_city"),
        migrations.RunPython(lambda apps, editor: None),
        migrations.SeparateDatabaseAndState(database_operations=[migrations.DeleteModel("City")]),
    ],
    ids=lambda operation: operation.describe(),
)
def test_an_operation_that_older_code_may_not_survive_is_refused_unless_it_is_marked(operation):
    migration = migrations.Migration("0002_change", "cities")
    migration.operations = [operation]
    assert refused(migration)

    setattr(migration, MARK, "no release that uses it is served any more")
    assert not refused(migration)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.CreateModel("Mayor", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("city", "mayor", models.CharField(max_length=10, null=True)),
        migrations.AddField("city", "mayor", models.CharField(max_length=10, db_default="")),
        migrations.AddIndex("city", models.Index(fields=["name"], name="by_name")),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("City")]),
    ],
    ids=lambda operation: operation.describe(),
)
def test_an_operation_that_only_adds_is_accepted(operation):
    migration = migrations.Migration("0002_change", "cities")
    migration.operations = [operation]

    assert not refused(migration)


def test_a_table_of_the_same_migration_may_be_changed_at_will():
    migration = migrations.Migration("0002_change", "cities")
    migration.operations = [
        migrations.CreateModel("Mayor", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("mayor", "city", models.ForeignKey("City", on_delete=models.CASCADE)),
    ]

    assert not refused(migration)

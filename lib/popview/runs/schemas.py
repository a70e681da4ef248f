"""What the files under ``profiles/`` may hold. Only values are checked here that no optimizer or task checks itself."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, ValidationInfo, field_validator

from popview.common.errors import check_name
from popview.common.schemas import Count, Names, Positive, Schema
from popview.runs.specs import FIRST_SEED, TRIAL_SEED

#: Seeds of restarts end before those of trials begin.
Restarts = Annotated[Count, Field(le=TRIAL_SEED - FIRST_SEED)]
Epochs = Annotated[Count, Field(le=1_000_000)]
Checkpoints = Annotated[int, Field(ge=2, le=100_000, description="a whole number, 2 or above")]
Counts = Annotated[list[Count], BeforeValidator(lambda given: given if isinstance(given, list) else [given])]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Values = Annotated[list[Number], Field(min_length=1, description="a list of numbers, 0 or above")]
Share = Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")]
Settings = dict[str, JsonValue]
Place = Annotated[int, Field(ge=0, description="a place: 0 is the first")]

#: End of the name of a hyperparameter that counts steps and is stated in epochs of the whole budget.
EPOCHS = "_epochs"


def _with_epochs(settings: Settings) -> Settings:
    """Refuse what is stated in epochs and is no number, of all algorithms or of one."""
    for name, value in settings.items():
        if isinstance(value, dict):
            _with_epochs(value)
        elif name.endswith(EPOCHS) and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"a table in which {name} is a number")
    return settings


InEpochs = Annotated[Settings, AfterValidator(_with_epochs)]


class Budget(Schema):
    """How many restarts, and how long each is trained and how often evaluated."""

    restarts: Restarts
    epochs: Epochs
    checkpoints: Checkpoints


class ModelTable(Schema, extra="allow"):
    """Settings of a task's model; `popview.tasks.setup.set_up` says which the task has."""

    hidden: Counts = Field(default=[], description="a whole number, 1 or above")
    width: Count = 1
    length: Count = 1
    train: Count = 1
    validation: Count = 1
    evaluated: Count = 1
    tested: Count = 1
    batch_size: Count = 1
    classes: Count = 1
    frozen: int = Field(default=0, ge=0, description="a whole number, 0 or above")
    dropout: Share = 0.0
    label_smoothing: Share = 0.0
    batch_norm: bool = False
    augmented: bool = False
    pretrained: bool = False
    curvature: bool = False
    shared: bool = False
    fixed_validation: bool = False
    base_rates: bool = False
    fixed_seeds: dict[str, int] = Field(default={}, description="a table of whole numbers, one per source")
    network: str = ""
    model: str = ""
    data: str = ""
    config: str = ""
    precision: str = ""


class SearchTable(Schema, extra="allow"):
    """How many trials, and the ranges that they are drawn from: see `popview.runs.search.draw`."""

    trials: Annotated[Count, Field(le=10_000)] = 1


class TaskTable(Budget):
    """A task in a profile of optimizers. Base settings are merged: see `popview.runs.profiles.base_of`."""

    stack: Restarts
    margin: Positive
    algorithms: Names
    model: Settings
    base: Settings
    tuned_restarts: Restarts = 1
    search: SearchTable = SearchTable()
    annealed: dict[str, Any] | None = None

    @field_validator("base", "search", mode="before")
    @classmethod
    def _of_algorithms(cls, table: Any, info: ValidationInfo) -> Any:
        for name, own in table.items() if isinstance(table, dict) else ():
            if isinstance(own, dict):
                check_name("algorithm", name, info.data.get("algorithms", ()))
        return table

    @field_validator("tuned_restarts")
    @classmethod
    def _base_ones_come_first(cls, number: int, info: ValidationInfo) -> int:
        if number > info.data.get("restarts", number):
            raise ValueError("at most its restarts: base ones come first")
        return number


class ArmTable(Schema):
    """What an arm has otherwise than the annealed runs whose settings it takes."""

    algorithms: Names = Field(default_factory=list)
    epochs: Epochs = 1
    restarts: Restarts = 1
    first_seed: Annotated[Count, Field(lt=TRIAL_SEED)] = FIRST_SEED
    model: ModelTable = ModelTable()
    base: InEpochs = Field(default_factory=dict)


class AnnealedTable(Budget):
    """The annealed runs of a task: see `popview.runs.annealed`."""

    algorithms: Names
    first_seed: Annotated[Count, Field(lt=TRIAL_SEED)] = FIRST_SEED
    model: ModelTable
    base: InEpochs
    grid: dict[str, dict[str, Values]]
    arms: dict[str, ArmTable] = Field(default_factory=dict)


class GridArm(Schema):
    """What a grid has beside a task's table: see `popview.runs.grids`."""

    grid: Settings
    schedule: Literal["constant", "annealed"]


class SearchEntry(Schema):
    """What a search of an algorithm has tried and, at its end, chosen."""

    of: str = ""
    trials: list[Settings] = Field(default_factory=list)
    finalists: list[Place] = Field(default_factory=list, description="places of cells")
    chosen: Place = 0

    @field_validator("chosen")
    @classmethod
    def _tried(cls, place: int, info: ValidationInfo) -> int:
        if (trials := info.data.get("trials")) and place >= len(trials):
            raise ValueError("the place of one that was tried")
        return place


class RunTable(Schema):
    """How the solutions of one algorithm are trained."""

    epochs: Epochs
    checkpoints: Checkpoints
    hyperparameters: Settings = Field(default_factory=dict)
    model: ModelTable = ModelTable()
    patience: Count = 1


class BarrierTable(Schema):
    """Between which solutions paths are found, and by what: every combination."""

    algorithms: Names
    stages: list[Literal["early", "equal", "fitted"]]
    ends: list[Literal["plain", "aligned"]]
    objectives: list[Literal["sum", "maximum"]]


class NetworkTable(Schema):
    """A network in a profile of solutions."""

    title: str
    task: str
    model: ModelTable
    solutions: Restarts
    stack: Count
    level: Positive
    floor: Positive
    images: Count
    fitted: Count
    grids: list[Count]
    chunk: Count
    pairs: Count
    group: Count
    path: Settings
    settled: Settings
    algorithms: dict[str, RunTable]
    barriers: list[BarrierTable]

    @field_validator("barriers")
    @classmethod
    def _of_algorithms(cls, tables: list[BarrierTable], info: ValidationInfo) -> list[BarrierTable]:
        for name in (name for table in tables for name in table.algorithms):
            check_name("algorithm", name, info.data.get("algorithms", ()))
        return tables

# SPDX-License-Identifier: Apache-2.0
"""Many searches with other settings for the whole network, shared by processes and machines.

Optuna proposes the settings and keeps what was found, in a database or in a journal file: every
process that is given the same one takes part, and what was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcugen.errors import BudgetError, MissingToolError, OptionError
from mcugen.quantize.options import QuantOptions
from mcugen.tradeoff.cache import digest
from mcugen.tradeoff.cuts import search
from mcugen.tradeoff.problem import Problem, SearchOptions

if TYPE_CHECKING:
    import optuna

Status = Callable[[str], None]
Progress = Callable[[int, int, str], None]

RANGES = ("minmax", "mse", "percentile:99.99", "entropy", "output")
METHODS = ("mean_rounding", "estimate")
CRITERIA = ("obs", "wanda", "l1")
ALL = "all"  # patterns


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """trials: how many there are to be, those of all processes and earlier runs together.

    storage: a database, sqlite:///trials.db, or the path of a journal file.
    """

    trials: int
    storage: str

    def __post_init__(self) -> None:
        """Raise OptionError for no trials."""
        if self.trials < 1:
            msg = f"trials is {self.trials}; expected 1 or more"
            raise OptionError(msg)


def check_engine() -> None:
    """Raise MissingToolError without optuna, before any work is done."""
    try:
        import optuna  # noqa: F401 # the question is whether it is there
    except ImportError as missing:
        msg = "--trials needs optuna: pip install 'mcugen[search]', or leave out --trials"
        raise MissingToolError(msg) from missing


def sweep(
    problem: Problem,
    options: SearchOptions,
    sweeping: SweepOptions,
    status: Status = lambda _: None,
    progress: Progress = lambda _done, _total, _text: None,
) -> tuple[Problem, SearchOptions, list[dict[str, Any]]]:
    """The problem and options with the best settings, and what every trial gave.

    A trial is worth its measured loss, with `max_drop` its flash; one without a choice within the
    budget is worth nothing. The settings as they were given are tried first. Raises BudgetError
    where no trial found a choice.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _study(problem, options, sweeping)
    study.enqueue_trial(_given(problem, options), skip_if_exists=True)
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)

    def done() -> int:
        return len(study.get_trials(deepcopy=False, states=ended))

    def objective(trial: optuna.Trial) -> float:
        settings = _suggested(trial, problem, options)
        status(f"trial {done() + 1} of {sweeping.trials}: {_text(settings)}")
        try:
            return _worth(*_with(settings, problem, options), progress)
        except BudgetError as error:
            raise optuna.TrialPruned(str(error)) from error

    if done() < sweeping.trials:
        limit = optuna.study.MaxTrialsCallback(sweeping.trials, states=ended)
        study.optimize(objective, callbacks=[limit])
    trials = [
        {"settings": trial.params, "worth": trial.value}
        for trial in study.get_trials(deepcopy=False, states=ended)
    ]
    if all(trial["worth"] is None for trial in trials):
        msg = f"none of {len(trials)} trials found a choice within the budget; nothing was written"
        raise BudgetError(msg)
    return (*_with(study.best_params, problem, options), trials)


def _study(problem: Problem, options: SearchOptions, sweeping: SweepOptions) -> optuna.Study:
    """The study of this problem in the storage, made if it is not there."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    asked = (options.budget and options.budget.text(), options.max_drop, options.forms)
    texts = (problem.board.name, problem.compiling.text(), str(asked))
    try:
        if "://" in sweeping.storage:
            storage: Any = optuna.storages.RDBStorage(sweeping.storage)
        else:
            Path(sweeping.storage).parent.mkdir(parents=True, exist_ok=True)
            storage = optuna.storages.JournalStorage(JournalFileBackend(sweeping.storage))
        name = f"{problem.graph.name} {digest(problem.graph, problem.calibration, texts)}"
        study = optuna.create_study(study_name=name, storage=storage, load_if_exists=True)
    except Exception as error:  # what databases raise is as manifold as they are
        reason = str(error).partition("\n")[0]
        msg = (
            f"storage {sweeping.storage!r} cannot be used: {reason}; expected a database as in "
            "sqlite:///trials.db, or the path of a journal file"
        )
        raise OptionError(msg) from error
    # processes that begin at the same time should not all try the same
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), constant_liar=True)
    return study


def _given(problem: Problem, options: SearchOptions) -> dict[str, str]:
    """The settings as they were given."""
    quant, forms = problem.compiling.quant, options.forms
    found = {"method": quant.method, "ranges": quant.ranges or quant.rule.name}
    if found["ranges"] == "percentile":
        found["ranges"] = "percentile:99.99"
    if forms.patterns:
        found |= {"criterion": forms.criterion, "pattern": ALL}
    return found


def _suggested(trial: optuna.Trial, problem: Problem, options: SearchOptions) -> Mapping[str, str]:
    given = _given(problem, options)
    choices = {"method": METHODS, "ranges": RANGES}
    if options.forms.patterns:
        choices |= {"criterion": CRITERIA, "pattern": (ALL, *options.forms.patterns)}
    return {
        name: str(trial.suggest_categorical(name, tuple(dict.fromkeys((given[name], *some)))))
        for name, some in choices.items()
    }


def _with(
    settings: Mapping[str, str], problem: Problem, options: SearchOptions
) -> tuple[Problem, SearchOptions]:
    """The problem and options with these settings."""
    quant: QuantOptions = replace(
        problem.compiling.quant, method=settings["method"], ranges=settings["ranges"]
    )
    forms = options.forms
    if forms.patterns:
        pattern = settings["pattern"]
        patterns = forms.patterns if pattern == ALL else (pattern,)
        forms = replace(forms, criterion=settings["criterion"], patterns=patterns)
    compiling = replace(problem.compiling, quant=quant)
    return replace(problem, compiling=compiling), replace(options, forms=forms)


def _worth(problem: Problem, options: SearchOptions, progress: Progress) -> float:
    """Of one trial: without a front, and with no file, which another trial would replace."""
    plain = replace(options, points=0, cache=None, complete=False)
    found = search(problem, plain, progress=progress).chosen
    assert found.figures is not None
    return found.loss if options.max_drop is None else float(found.figures.flash)


def _text(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())

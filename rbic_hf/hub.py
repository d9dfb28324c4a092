"""The only module that talks to the Hugging Face Hub: read a dataset, find a model, push a result.

The data is pushed before the card: `push_to_hub` merges `configs` and `dataset_info` into the card
that is there, while a card written from nothing would wipe them and make the dataset unloadable.
Conflicting commits are retried here, because datasets looks for them in the wrong exception class.
Each failure of a client becomes one line; a token never enters it.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import posixpath
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rbic_hf.errors import ConfigError, DataError, HubError, ModelError, RbicError
from rbic_hf.hub_cards import merge_card, split_card
from rbic_hf.hub_errors import Token, client_errors, http_status, one_line, reason_of, shown_cause
from rbic_hf.model_folders import folder_revision

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from huggingface_hub import CommitInfo, HfApi

T = TypeVar("T")

_BUILDERS = {".json": "json", ".jsonl": "json", ".parquet": "parquet", ".csv": "csv"}
_COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
_ACCEPTED = (
    "a save_to_disk folder, a folder of parquet files, a .json, .jsonl, .parquet or .csv file "
    "(.gz, .bz2, .xz, .zst too), or a Hub id such as 'openai/gsm8k'"
)

# What transformers and sentence-transformers read. The folders hold other runtimes' copies of the
# weights or other steps of a training; consolidated*.safetensors is Mistral's second copy.
_MODEL_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
_SKIPPED_FOLDERS = ("onnx", "openvino", "coreml", "tf", "flax", "gguf", "original", "checkpoint-*")
_SKIPPED_FILES = (
    *(f"{folder}/*" for folder in _SKIPPED_FOLDERS),
    *(f"*/{folder}/*" for folder in _SKIPPED_FOLDERS),
    "consolidated*.safetensors",
)

_RETRIED = frozenset({409, 412, 429, 500, 502, 503, 504})
_WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before each retry


def load_source(
    source: str,
    *,
    split: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Dataset | DatasetDict:
    """Return the dataset behind a path or a Hub id; an existing path wins.

    A file gives a Dataset; a save_to_disk folder gives what was saved; a folder of parquet files
    and a Hub id give a DatasetDict, or one Dataset when `split` is given. Columns of mixed types
    become `Json()`.

    Raises:
        ConfigError: `revision` is given with a local path.
        DataError: nothing is there, it cannot be read, or it has no such split; one line.
    """
    at_hub = {"split": split, "revision": revision, "token": token}
    if not os.path.exists(os.path.expanduser(source)):
        if not source.strip() or _looks_like_path(source):
            raise DataError(f"There is no file or folder {source!r}; accepted: {_ACCEPTED}.")
        return _read(source, token, lambda d: d.load_dataset(source, **at_hub))
    if revision is not None:
        raise ConfigError(f"revision={revision!r} needs a Hub id, but {source!r} is a local path.")
    path = Path(source).expanduser().absolute()
    return _load_folder(path, split) if path.is_dir() else _load_file(path, split)


def resolve_model(
    model: str, *, revision: str | None = None, token: str | bool | None = None
) -> tuple[str, str]:
    """Return the local folder of a model and its revision, ready for `from_pretrained`.

    A folder is returned as it is, with a revision made from its contents ("local-" and 16 hex
    digits). A Hub id is downloaded, without the copies of the weights for other runtimes, and gives
    the commit hash; without network the local cache serves.

    Raises:
        ConfigError: `revision` is given with a local folder.
        ModelError: the model is not a folder, not on the Hub, not readable, or not in the cache.
    """
    if os.path.isdir(os.path.expanduser(model)):
        if revision is not None:
            raise ConfigError(f"revision={revision!r} needs a Hub id, but {model!r} is a folder.")
        folder = Path(model).expanduser()
        return str(folder), folder_revision(folder)
    if not model.strip() or _looks_like_path(model):
        raise ModelError(f"There is no model folder {model!r}; pass a folder or a Hub id.")
    try:
        snapshot = _download_model(model, revision, token)
    except ModelError:
        raise
    except client_errors() as err:
        raise _model_error(model, err, token) from shown_cause(err, token)
    return str(snapshot), snapshot.name


def push(
    dataset: Dataset | DatasetDict,
    repo_id: str,
    *,
    card_text: str | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> str:
    """Push the data, then merge `card_text` into the repo's card; return the URL of the repo or PR.

    `card_text` is a README with or without a YAML header. Of its metadata only what is missing is
    added (tags are united, `size_categories` follows the data). Of its body the part between
    `<!-- rbic:start -->` and `<!-- rbic:end -->`, or all of it, replaces the part between these
    markers on the Hub; all other text there stays.

    Raises:
        ConfigError: the repo id, the token or the revision is not accepted by the Hub.
        DataError: not a dataset, or the Hub refused it or could not be reached after retries.
    """
    _check_push(dataset, card_text, revision, create_pr)
    try:
        commit = _retrying(
            lambda: _push_data(dataset, repo_id, private, token, revision, create_pr)
        )
        url = commit.pr_url or str(commit.repo_url)
        if card_text is None:
            return url
        # Unchanged data opens no PR: the card then opens its own, it must not go to main.
        target = commit.pr_revision or revision
        own_pr = create_pr and commit.pr_url is None
        full_id = commit.repo_url.repo_id
        card = _retrying(lambda: _push_card(card_text, full_id, token, target, own_pr))
    except client_errors() as err:
        raise _push_error(repo_id, err, token) from shown_cause(err, token)
    return card.pr_url or url


# --- datasets ---


def _looks_like_path(text: str) -> bool:
    return text.startswith((".", "~", "/", os.sep)) or _builder(Path(text)) is not None


def _builder(path: Path) -> str | None:
    """Return the datasets builder for a file name such as `rows.jsonl.gz`, or None."""
    name = path.name.lower()
    for suffix in _COMPRESSIONS:
        name = name.removesuffix(suffix)
    return _BUILDERS.get(posixpath.splitext(name)[1])


def _load_file(path: Path, split: str | None) -> Dataset | DatasetDict:
    builder = _builder(path)
    if builder is None:
        raise DataError(f"{str(path)!r} is not a kind of file that is read; accepted: {_ACCEPTED}.")
    files = {"train": glob.escape(str(path))}
    wanted = {"data_files": files, "split": split or "train"}
    return _read(str(path), None, lambda d: d.load_dataset(builder, **wanted))


def _load_folder(path: Path, split: str | None) -> Dataset | DatasetDict:
    if not any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        if next(path.rglob("*.parquet"), None) is None:
            raise DataError(f"Nothing to read in {str(path)!r}; accepted: {_ACCEPTED}.")
        kinds = {_builder(file) for file in path.rglob("*")} - {None, "parquet"}
        if kinds:
            raise DataError(
                f"{str(path)!r} holds files of several kinds ({', '.join(sorted(map(str, kinds)))} "
                "beside parquet); name one file, or a folder of parquet files alone."
            )
        return _read(str(path), None, lambda d: d.load_dataset(str(path), split=split))
    saved = _read(str(path), None, lambda d: d.load_from_disk(str(path)))
    if split is None:
        return saved
    splits = saved if isinstance(saved, dict) else {str(saved.split or "train"): saved}
    if split not in splits:
        raise DataError(f"{str(path)!r} has no split {split!r}; accepted: {', '.join(splits)}.")
    return splits[split]


def _read(source: str, token: Token, load: Callable[[Any], Any]) -> Dataset | DatasetDict:
    """Call `load(datasets)`; what it raises becomes one line that names `source`."""
    import datasets

    try:
        return cast("Dataset | DatasetDict", load(datasets))
    except Exception as err:  # parsers and decompressors raise anything; the cause stays chained
        why = reason_of(err, token)
        if isinstance(err, datasets.exceptions.DatasetNotFoundError):
            why = f"{one_line(str(err), token)} Accepted: {_ACCEPTED}."
        elif isinstance(err, StopIteration):
            why = "it has no rows."
        raise DataError(f"Cannot load {source!r}: {why}") from shown_cause(err, token)


# --- models ---


def _download_model(model: str, revision: str | None, token: Token) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    wanted: dict[str, Any] = {"revision": revision, "token": token}
    wanted |= {"ignore_patterns": list(_SKIPPED_FILES), "allow_patterns": list(_MODEL_FILES)}
    try:
        info = HfApi(token=token).model_info(model, revision=revision, timeout=10)
    except client_errors() as err:
        return _cached_model(model, wanted, err)
    weights = _weight_files(file.rfilename for file in info.siblings or ())
    if not weights:
        raise ModelError(f"Model {model!r} has no safetensors or bin weights; it cannot be loaded.")
    wanted["allow_patterns"] = [*_MODEL_FILES, *map(glob.escape, weights)]
    return Path(snapshot_download(model, **wanted))


def _cached_model(model: str, wanted: dict[str, Any], reason: Exception) -> Path:
    """Return the cached snapshot, or raise `reason`, which says why the Hub was of no help."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, local_files_only=True, **wanted))
    except (LocalEntryNotFoundError, ValueError):
        raise reason from None
    # A cache filled by somebody who wanted the tokenizer alone has no weights.
    if not _weight_files(path.relative_to(folder).as_posix() for path in folder.rglob("*")):
        raise reason
    return folder


def _weight_files(paths: Iterable[str]) -> list[str]:
    """Return the safetensors files, and the bin files of folders that have no safetensors."""
    kept = [p for p in paths if not any(fnmatch.fnmatch(p, skip) for skip in _SKIPPED_FILES)]
    safetensors = [path for path in kept if path.endswith(".safetensors")]
    covered = {posixpath.dirname(path) for path in safetensors}
    # training_args.bin, optimizer.bin and the like hold no weights
    bins = [path for path in kept if re.search(r"model[^/]*\.bin$", path)]
    return safetensors + [path for path in bins if posixpath.dirname(path) not in covered]


def _model_error(model: str, err: Exception, token: Token) -> ModelError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    why = reason_of(err, token)
    if isinstance(err, GatedRepoError):
        advice = "Accept its terms on the Hub and log in with `hf auth login`"
    elif isinstance(err, RepositoryNotFoundError | ValueError):
        advice = "Check the name; for a private model log in with `hf auth login`"
    else:
        advice = f"Run `hf download {model}` once with network"
    return ModelError(f"Model {model!r} is not available: {why}\n{advice}, or pass a folder.")


# --- pushing ---


def _check_push(dataset: Any, card_text: str | None, revision: str | None, create_pr: bool) -> None:
    """Raise before anything is sent."""
    from datasets import Dataset, DatasetDict

    if not isinstance(dataset, Dataset | DatasetDict):
        raise DataError(f"Cannot push {type(dataset).__name__}; accepted: Dataset, DatasetDict.")
    if isinstance(dataset, DatasetDict) and not dataset:
        raise DataError("Cannot push a DatasetDict without splits.")
    if create_pr and revision not in (None, "main"):
        raise ConfigError(f"create_pr opens a pull request to 'main', not to {revision!r}.")
    if card_text is not None:
        try:
            split_card(card_text)
        except client_errors() as err:
            raise DataError(f"card_text has an unreadable YAML header: {reason_of(err)}") from err


def _push_data(
    dataset: Dataset | DatasetDict,
    repo_id: str,
    private: bool | None,
    token: Token,
    revision: str | None,
    create_pr: bool,
) -> CommitInfo:
    """Call `push_to_hub`, on a dict where one Dataset replaces the only split of a repo.

    A Dataset pushed with other columns than before leaves the old features in the card, and the
    repo no longer loads (huggingface/datasets#8608); a dict writes them anew, but drops all other
    splits, so it will not do where there are some.
    """
    from datasets import Dataset, DatasetDict
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    if "/" not in repo_id:  # only the Hub knows whose it is
        created = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        repo_id = created.repo_id
    if isinstance(dataset, Dataset):
        name = str(dataset.split or "train")
        if _declared_splits(api, repo_id, revision) == {name}:
            dataset = DatasetDict({name: dataset})
    done = dataset.push_to_hub(
        repo_id, private=private, token=token, revision=revision, create_pr=create_pr
    )
    return cast("CommitInfo", done)


def _declared_splits(api: HfApi, repo_id: str, revision: str | None) -> set[str]:
    """Return the splits of the default config in the card's `dataset_info`."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        metadata, _ = split_card(_read_card(api, repo_id, revision)[1])
    except RepositoryNotFoundError:
        return set()
    except RevisionNotFoundError:  # the push makes this branch, with the card of main
        return _declared_splits(api, repo_id, None) if revision else set()
    infos = metadata.get("dataset_info") or []
    infos = [infos] if isinstance(infos, dict) else infos
    default = [info for info in infos if info.get("config_name", "default") == "default"]
    return {split["name"] for info in default for split in info.get("splits", ())}


def _push_card(
    card_text: str, repo_id: str, token: Token, revision: str | None, create_pr: bool
) -> CommitInfo:
    """Commit the merged card on top of the card that was read; a commit in between is a 412."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(token=token)
    head, current = _read_card(api, repo_id, revision)
    return api.create_commit(
        repo_id,
        [CommitOperationAdd("README.md", merge_card(current, card_text).encode())],
        commit_message="Update the dataset card",
        repo_type="dataset",
        revision=revision,
        create_pr=create_pr,
        parent_commit=head,
    )


def _read_card(api: HfApi, repo_id: str, revision: str | None) -> tuple[str | None, str]:
    """Return the head commit and its README, "" where there is none."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    head = api.repo_info(repo_id, repo_type="dataset", revision=revision).sha
    try:
        path = api.hf_hub_download(repo_id, "README.md", repo_type="dataset", revision=head)
    except RemoteEntryNotFoundError:  # not its parent: a lost connection is no empty card
        return head, ""
    return head, Path(path).read_bytes().decode("utf-8-sig")


def _retrying(action: Callable[[], T]) -> T:
    """Repeat an action that met a conflicting commit, a rate limit or a server error."""
    for wait in _WAITS:
        try:
            return action()
        except client_errors() as err:
            if http_status(err) not in _RETRIED:
                raise
        time.sleep(wait)
    return action()


def _push_error(repo_id: str, err: Exception, token: Token) -> RbicError:
    from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError

    why = reason_of(err, token)
    if isinstance(err, HFValidationError):
        return ConfigError(f"repo_id={repo_id!r} is not accepted: {why}")
    if http_status(err) in (401, 403) or isinstance(err, LocalTokenNotFoundError):
        advice = "log in with `hf auth login` or set HF_TOKEN to a token that may write there."
        return ConfigError(f"Cannot push to {repo_id!r}: {why}; {advice}")
    if http_status(err) == 404:
        return ConfigError(f"Cannot push to {repo_id!r}: {why}; check the repo id and revision.")
    if http_status(err) in _RETRIED:
        why = f"{why}, {len(_WAITS) + 1} times; try again later."
    return HubError(f"Cannot push to {repo_id!r}: {why}")

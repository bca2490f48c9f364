"""Train an acoustic model from log-mel made by `extract_features.py`, and write its bundle.

    torchrun --nproc-per-node 2 scripts/train_acoustic.py --cache cache/en-us \
        --language en-us --checkpoints runs/en-us --bundle models/en-us

The recurrent acoustic model and a low-rank update of the shared encoder learn together; with
`--stem-width` there is a small convolutional stem in the encoder's place. Stopped, it goes on from
its last checkpoint. `runs/…/log.csv` has the loss and the phoneme error of the held-out speakers,
and `log.png` shows both. The same command runs on one process, on several (`torchrun
--nproc-per-node N`), on GPUs, and on several machines (`torchrun --nnodes M --rdzv-endpoint …`).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import Field, fields
from pathlib import Path

import torch

from assistant.bundle import read_acoustic, read_inventory
from assistant.bundle_files import HELD_OUT_SPEAKERS
from assistant.config import FeatureConfig
from assistant.errors import AssistantError
from assistant.training import corpora
from assistant.training.acoustic_trainer import AcousticTrainer, TrainingConfig
from assistant.training.augmentation import AugmentationConfig
from assistant.training.batch_augmentation import BatchAugmenter
from assistant.training.batches import Draw, collate
from assistant.training.device_speech import DeviceSpeech
from assistant.training.machine import own_device
from assistant.training.manifest import audio_files, held_out_noise, read_samples, write_speakers
from assistant.training.masking import MaskingConfig
from assistant.training.material import RAREST, Material, read_material
from assistant.training.mel_augmentation import MelAugmentationConfig, MelAugmenter, noise_power
from assistant.training.network import Network, NetworkConfig, parameters_in_millions
from assistant.training.pieces import cut
from assistant.training.plots import plot_log
from assistant.training.posteriors import network_of
from assistant.training.rows import LOG_MEL_PER_ROW, ROWS_PER_SECOND, SAMPLES_PER_ROW

DRAWS = {
    "common_voice": 2.0,
    "common_voice_13_pseudo": 1.3,
    "librispeech": 0.7,
    "speechocean762": 0.6,
    "speech_commands": 0.2,
    "wake_words": 0.1,
    "precise_community": 0.3,
    "grid_s1": 0.3,
    "cathy": 0.5,
    "ljspeech": 0.5,
}
"""Times an utterance is drawn in a pass, by corpus (1 where it is not named): everyday microphones
and many accents are what users have, and what there is least of."""


def drawn(text: str) -> tuple[str, float]:
    """A corpus and the times that its utterances are drawn, from "corpus=times"."""
    corpus, _, times = text.rpartition("=")
    try:
        found = float(times)
    except ValueError:
        found = -1.0
    if not corpus or not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not like common_voice=2")
    return corpus, found


def plain_fields(config: type) -> list[Field]:
    """The fields of a configuration that are options of the command line: numbers and names."""
    return [f for f in fields(config) if isinstance(f.default, int | float | str)]


def parse_arguments() -> tuple[argparse.Namespace, TrainingConfig, NetworkConfig]:
    """The command line; every number and name of both configurations is an option."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--language", required=True, help="espeak-ng's name of it: en-us, pt-br, …")
    parser.add_argument(
        "--checkpoints", type=Path, required=True, help="folder of the checkpoint and the log"
    )
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle to write")
    parser.add_argument(
        "--initial",
        type=Path,
        help="bundle to train on from; of another language,\n"
        "phonemes of one name are taken for the same",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        help="folder of a larger bundle's posteriors (scripts/extract_posteriors.py) to learn from",
    )
    parser.add_argument(
        "--pieces",
        type=int,
        default=0,
        help="rows of the pieces that utterances with a teacher are cut into;\n"
        "0 leaves them whole (25 rows are a second)",
    )
    parser.add_argument(
        "--teacher-bundle",
        type=Path,
        help="that bundle, for its phonemes;\n"
        "with --samples it listens along, needs no --teacher, and says what is said in\n"
        "recordings without text",
    )
    parser.add_argument(
        "--samples",
        action="store_true",
        help="the cache is of samples (extract_features.py --samples): keep them in the memory of\n"
        "the device, and hear every draw anew there: speed, rooms, noise, microphones.\n"
        "For GPUs",
    )
    parser.add_argument(
        "--rooms", type=Path, nargs="*", default=[], help="folders of room responses for --samples"
    )
    parser.add_argument(
        "--augment",
        action="store_true",
        help="hear every draw anew: speed, vocal tract, rooms, noise, microphones, on the log-mel",
    )
    corpora.add_noise(parser, "folders of background noise for --augment and --samples")
    parser.add_argument(
        "--apart",
        nargs="*",
        default=[],
        help="corpora whose held-out error is logged by itself, not with the family's: people of\n"
        "theirs may be among the clips that are trained on without a speaker's name",
    )
    parser.add_argument(
        "--draws",
        type=drawn,
        nargs="*",
        default=[],
        metavar="CORPUS=TIMES",
        help="times that an utterance of a corpus is drawn in a pass, by what its name begins\n"
        "with; besides, or in the place of: " + " ".join(f"{c}={n:g}" for c, n in DRAWS.items()),
    )
    parser.add_argument("--encoder", type=Path, default=Path("models/encoder"))
    parser.add_argument(
        "--rarest",
        type=int,
        default=RAREST,
        help="occurrences in the training texts below which a phoneme is left out",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for config in (TrainingConfig, MaskingConfig, NetworkConfig):
        for field in plain_fields(config):
            name = "--" + field.name.replace("_", "-")
            parser.add_argument(name, type=type(field.default), default=field.default)
    found = parser.parse_args()
    if found.samples and (found.augment or found.teacher or found.pieces):
        parser.error(
            "--samples changes every draw itself, and the teacher listens along; "
            "leave out --augment, --teacher and --pieces"
        )
    if found.consistency and not found.samples:
        parser.error("--consistency hears an utterance twice at one speed: it needs --samples")
    if found.noise_alone and not (found.samples and found.noise):
        parser.error(
            "--noise-alone has noise in the place of speech: it needs --samples and --noise"
        )
    training, masking, network = (
        {f.name: getattr(found, f.name) for f in plain_fields(config)}
        for config in (TrainingConfig, MaskingConfig, NetworkConfig)
    )
    masked = MaskingConfig(**masking)
    return found, TrainingConfig(masking=masked, **training), NetworkConfig(**network)


def main() -> None:
    """Read, train, write."""
    began = time.perf_counter()
    arguments, config, network_config = parse_arguments()
    is_first = os.environ.get("RANK", "0") == "0"
    alone = os.environ.get("WORLD_SIZE", "1") == "1"
    cores = os.cpu_count() or 1 if alone else 1
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", cores)))
    device = own_device(arguments.device)
    source = arguments.teacher_bundle or arguments.initial
    known = read_inventory(source) if source else None
    inventory = known.phonemes if known and known.language == arguments.language else ()
    columns = SAMPLES_PER_ROW if arguments.samples else LOG_MEL_PER_ROW * FeatureConfig().mel_bins
    material = read_material(
        arguments.cache,
        columns,
        arguments.language,
        inventory,
        DRAWS | dict(arguments.draws),
        arguments.rarest,
        arguments.teacher,
        arguments.apart,
        unlabelled=bool(arguments.samples and arguments.teacher_bundle),
    )
    training = material.training
    if arguments.pieces:
        training = [piece for e in training for piece in cut(e, arguments.pieces)]
    torch.manual_seed(config.seed)
    draw = drawing(arguments, material, device, config)
    network = Network(network_config, arguments.encoder, material.inventory)
    is_begun = bool(arguments.initial) and network.start_from(arguments.initial)
    if not config.encoder_learning_rate:
        network.freeze_encoder()
    network.module.to(device)
    if arguments.initial and not is_begun and is_first:
        print(f"{arguments.initial}: its acoustic model has another shape; that begins afresh")
    if not is_begun:
        network.take_statistics(material.training, draw)
    trainer = AcousticTrainer(
        network.module,
        training,
        material.held_out,
        config,
        arguments.checkpoints,
        device,
        LOG_MEL_PER_ROW,
        draw,
    )
    if is_first:
        hours = sum(e.length * e.draws for e in training) / ROWS_PER_SECOND / 3600
        millions = parameters_in_millions(network.module)
        until = f"{config.minutes:g} minutes" if config.minutes else f"{trainer.updates} updates"
        print(
            f"{hours:.1f} h a pass, {len(material.inventory)} phonemes, "
            f"{millions:.2f} M parameters, {until}",
            flush=True,
        )
    trainer.run(began)
    if is_first:
        network.module.load_state_dict(trainer.average)
        network.module.cpu()
        network.write(arguments.bundle, arguments.language)
        write_speakers(arguments.bundle / HELD_OUT_SPEAKERS, material.speakers)
        plot_log(arguments.checkpoints / "log.csv")


def drawing(
    arguments: argparse.Namespace,
    material: Material,
    device: torch.device,
    config: TrainingConfig,
) -> Draw:
    """How batches are made: of what the cache has, changed as the command line says."""
    noise, _ = held_out_noise(audio_files(arguments.noise))
    if arguments.samples:
        rooms = audio_files(arguments.rooms)
        augmenter = BatchAugmenter(
            AugmentationConfig(),
            [read_samples(path) for path in noise],
            [read_samples(path) for path in rooms],
            device,
        )
        teacher = None
        if arguments.teacher_bundle:
            teacher = network_of(read_acoustic(arguments.teacher_bundle)).to(device)
        every = [*material.training, *(e for part in material.held_out.values() for e in part)]
        return DeviceSpeech(
            every, device, augmenter, teacher, config.views, config.noise_alone
        ).draw
    if not arguments.augment:
        return collate
    power = noise_power(noise) if noise else None
    return MelAugmenter(MelAugmentationConfig(), LOG_MEL_PER_ROW, power).draw


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")

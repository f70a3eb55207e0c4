"""Transfer learning with Keras 3: `import tlhelpers as tl`."""

from tlhelpers import _start, adaptation  # noqa: F401  (keras is imported inside _start)
from tlhelpers.adaptation import *  # noqa: F403
from tlhelpers.checks.seeds import set_seed
from tlhelpers.checks.tags import tag_names
from tlhelpers.choosing.advice import advise
from tlhelpers.choosing.candidates import cut_at_blocks
from tlhelpers.choosing.comparison import compare
from tlhelpers.choosing.ranking import plot_ranking, rank_backbones
from tlhelpers.models.anatomy import find_base, find_blocks
from tlhelpers.models.centres import CentreLoss, draw_centres
from tlhelpers.models.detector import build_detector
from tlhelpers.models.forecaster import build_forecaster
from tlhelpers.models.heads import build_classifier, build_head, build_text_classifier
from tlhelpers.models.precision import to_bfloat16
from tlhelpers.models.preprocessing import Preprocess, preprocessing
from tlhelpers.models.recommender import build_recommender
from tlhelpers.models.segmenter import build_segmenter
from tlhelpers.models.splitting import split_at
from tlhelpers.models.token_classifier import build_token_classifier, token_loss
from tlhelpers.models.transfer import transfer_weights
from tlhelpers.models.translator import build_translator
from tlhelpers.reading.boxes import evaluate_boxes, plot_boxes, threshold_for
from tlhelpers.reading.calibration import calibrate
from tlhelpers.reading.command_line import (
    classify_pictures,
    classify_texts,
    recipe_parser,
    run_recipe,
)
from tlhelpers.reading.decisions import evaluate_decisions, plot_decisions
from tlhelpers.reading.detecting import detect
from tlhelpers.reading.entities import evaluate_entities
from tlhelpers.reading.evaluation import evaluate
from tlhelpers.reading.explain import attention_maps, grad_cam, token_importance
from tlhelpers.reading.exporting import export
from tlhelpers.reading.figures import describe_figure
from tlhelpers.reading.forecasting import Forecaster, load_forecaster, save_forecaster
from tlhelpers.reading.forecasts import evaluate_forecasts, plot_forecasts, year_ago
from tlhelpers.reading.language import evaluate_language_model, generate
from tlhelpers.reading.masks import compare_masks, evaluate_masks, plot_masks
from tlhelpers.reading.plots import (
    new_axes,
    plot_confusion,
    plot_embedding,
    plot_grad_cam,
    plot_history,
    plot_images,
    plot_reliability,
)
from tlhelpers.reading.recommending import evaluate_ratings, load_recommender, save_recommender
from tlhelpers.reading.saved_models import load_classifier, save_classifier
from tlhelpers.reading.segmenting import segment_pictures
from tlhelpers.reading.speech import transcribe, transcript_odds
from tlhelpers.reading.taggers import load_tagger, save_tagger, show_entities
from tlhelpers.reading.text_models import load_text_model, save_text_model
from tlhelpers.reading.transcripts import evaluate_transcripts
from tlhelpers.reading.translating import Translator, load_translator
from tlhelpers.reading.translations import evaluate_translations
from tlhelpers.reading.translator_attention import attention_between
from tlhelpers.scores.decisions import choose_threshold, predictive_values
from tlhelpers.scores.entities import find_entities
from tlhelpers.scores.forecasts import mase, pinball, smape
from tlhelpers.scores.likelihood import bits_per_character, perplexity
from tlhelpers.scores.ordering import ordering_score
from tlhelpers.scores.probes import knn_probe, linear_probe
from tlhelpers.scores.ridge_users import ridge_users
from tlhelpers.scores.sampling import sampling_probabilities
from tlhelpers.scores.similarity import linear_cka, mmd, proxy_a_distance
from tlhelpers.scores.transferability import h_score, leep, logme, nce
from tlhelpers.sources import text_preprocessing as texts  # noqa: F401  (its name in version 0.1)
from tlhelpers.sources.aligning import WordAligner, split_words
from tlhelpers.sources.assets import fetch, fetch_all
from tlhelpers.sources.audio_encoders import load_audio_encoder
from tlhelpers.sources.backbones import load_backbone, source_head
from tlhelpers.sources.bert import load_bert
from tlhelpers.sources.boxes import load_boxes
from tlhelpers.sources.crops import cut_crops
from tlhelpers.sources.datasets import load_dataset
from tlhelpers.sources.entities import load_entities
from tlhelpers.sources.examples import make_example
from tlhelpers.sources.folders import load_folder
from tlhelpers.sources.groups import check_groups, group_by, group_split
from tlhelpers.sources.held_out import held_out
from tlhelpers.sources.intents import load_intents
from tlhelpers.sources.known_ratings import draw_known
from tlhelpers.sources.language_models import load_language_model
from tlhelpers.sources.languages import load_languages
from tlhelpers.sources.log_mel import log_mel
from tlhelpers.sources.masks import load_masks
from tlhelpers.sources.medical import load_medical
from tlhelpers.sources.mnist_m import make_mnist_m
from tlhelpers.sources.pair_files import load_pairs_file
from tlhelpers.sources.pairs import load_pairs
from tlhelpers.sources.paragraphs import load_paragraphs
from tlhelpers.sources.pictures import load_picture, load_pictures
from tlhelpers.sources.ratings import load_ratings
from tlhelpers.sources.sentence_encoder import load_sentence_encoder
from tlhelpers.sources.series import Series, load_series
from tlhelpers.sources.series_files import load_series_file
from tlhelpers.sources.sound_folders import load_sounds
from tlhelpers.sources.sounds import load_sound
from tlhelpers.sources.speech_recognizers import load_speech_recognizer
from tlhelpers.sources.spoken_digits import load_spoken_digits
from tlhelpers.sources.spoken_sentences import load_spoken_sentences
from tlhelpers.sources.tables import load_table
from tlhelpers.sources.tissue import load_tissue
from tlhelpers.sources.windows import cut_windows
from tlhelpers.sources.words import Words, learn_words
from tlhelpers.tuning.bucketing import bucket_by_length, predict_by_length
from tlhelpers.tuning.describing import describe
from tlhelpers.tuning.detector_fitting import fit_detector
from tlhelpers.tuning.features import extract_features
from tlhelpers.tuning.fine_tuning import fine_tune
from tlhelpers.tuning.freezing import freeze, unfreeze
from tlhelpers.tuning.gradual import GradualUnfreezing
from tlhelpers.tuning.guard import FitGuard
from tlhelpers.tuning.layerwise import layerwise
from tlhelpers.tuning.lora import add_lora, merge_lora
from tlhelpers.tuning.lora_files import load_adapters, save_adapters
from tlhelpers.tuning.lr_finder import find_learning_rate
from tlhelpers.tuning.new_users import fit_recommender, fit_users
from tlhelpers.tuning.quantile_loss import QuantileLoss
from tlhelpers.tuning.repeating import compile_once
from tlhelpers.tuning.schedules import one_cycle, warmup_cosine
from tlhelpers.tuning.segmentation_loss import SegmentationLoss
from tlhelpers.tuning.shards import FeatureShards, extract_shards

__all__ = [
    "CentreLoss", "FeatureShards", "FitGuard", "Forecaster", "GradualUnfreezing", "Preprocess",
    "QuantileLoss", "SegmentationLoss", "Series", "Translator", "WordAligner", "Words", "add_lora",
    "advise", "attention_between", "attention_maps", "bits_per_character", "bucket_by_length",
    "build_classifier", "build_detector", "build_forecaster", "build_head", "build_recommender",
    "build_segmenter", "build_text_classifier", "build_token_classifier", "build_translator",
    "calibrate", "check_groups", "choose_threshold", "classify_pictures", "classify_texts",
    "compare", "compare_masks", "compile_once", "cut_at_blocks", "cut_crops", "cut_windows",
    "describe", "describe_figure", "detect", "draw_centres", "draw_known", "evaluate",
    "evaluate_boxes", "evaluate_decisions", "evaluate_entities", "evaluate_forecasts",
    "evaluate_language_model", "evaluate_masks", "evaluate_ratings", "evaluate_transcripts",
    "evaluate_translations", "export", "extract_features", "extract_shards", "fetch", "fetch_all",
    "find_base", "find_blocks", "find_entities", "find_learning_rate", "fine_tune", "fit_detector",
    "fit_recommender", "fit_users", "freeze", "generate", "grad_cam", "group_by", "group_split",
    "h_score", "held_out", "knn_probe", "layerwise", "learn_words", "leep", "linear_cka",
    "linear_probe", "load_adapters", "load_audio_encoder", "load_backbone", "load_bert",
    "load_boxes", "load_classifier", "load_dataset", "load_entities", "load_folder",
    "load_forecaster", "load_intents", "load_language_model", "load_languages", "load_masks",
    "load_medical", "load_pairs", "load_pairs_file", "load_paragraphs", "load_picture",
    "load_pictures", "load_ratings", "load_recommender", "load_sentence_encoder", "load_series",
    "load_series_file", "load_sound", "load_sounds", "load_speech_recognizer", "load_spoken_digits",
    "load_spoken_sentences", "load_table", "load_tagger", "load_text_model", "load_tissue",
    "load_translator", "log_mel", "logme", "make_example", "make_mnist_m", "mase", "merge_lora",
    "mmd", "nce", "new_axes", "one_cycle", "ordering_score", "perplexity", "pinball", "plot_boxes",
    "plot_confusion", "plot_decisions", "plot_embedding", "plot_forecasts", "plot_grad_cam",
    "plot_history", "plot_images", "plot_masks", "plot_ranking", "plot_reliability",
    "predict_by_length", "predictive_values", "preprocessing", "proxy_a_distance", "rank_backbones",
    "recipe_parser", "ridge_users", "run_recipe", "sampling_probabilities", "save_adapters",
    "save_classifier", "save_forecaster", "save_recommender", "save_tagger", "save_text_model",
    "segment_pictures", "set_seed", "show_entities", "smape", "source_head", "split_at",
    "split_words", "tag_names", "threshold_for", "to_bfloat16", "token_importance", "token_loss",
    "transcribe", "transcript_odds", "transfer_weights", "unfreeze", "warmup_cosine", "year_ago",
]  # fmt: skip
__all__ += adaptation.__all__
__all__.remove("DomainReport")  # these three stay names of `tl.adaptation`
__all__.remove("PairedBatches")
__all__.remove("RandomChannel")
__version__ = "0.2.0"

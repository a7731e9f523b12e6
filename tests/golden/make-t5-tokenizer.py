"""Writes tests/golden/t5-tokenizer: a small vocabulary trained as T5's was, and how two independent implementations use it.

Run with a Python that has sentencepiece (made with 0.2.2) and tokenizers (made with 0.22.2):
    python3 tests/golden/make-t5-tokenizer.py
The normalization table, 240 kB that every model with the rule nmt_nfkc has, is left out of the files.
"""

import io
import itertools
import json
import random
from pathlib import Path

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

OUT = Path(__file__).parent / "t5-tokenizer"

random.seed(0)
colours = ["red", "green", "blue", "yellow", "orange", "purple", "colourful", "colourless"]
shapes = ["circle", "square", "triangle", "star", "rectangle", "circles", "squares", "triangles"]
places = ["left of", "right of", "above", "below", "inside", "in front of", "beneath", "without"]
corpus = [
    f"{a} {c} {s}, {p} the {d} {t}: {n}% (drawn by hand)." + " What's that? It isn't a photograph!"
    for a, c, s, p, d, t in itertools.product(["A", "the", "one"], colours, shapes, places, colours[:3], shapes[:3])
    for n in [random.randrange(100)]
]
random.shuffle(corpus)
corpus = corpus[:2000] + ["quick brown fox jumps over lazy dog with 0123456789 vexing zebra kites"] * 20

buffer = io.BytesIO()
spm.SentencePieceTrainer.train(
    sentence_iterator=iter(corpus), model_writer=buffer, vocab_size=160, model_type="unigram",
    pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", num_threads=1, minloglevel=2,
)  # fmt: skip
oracle = spm.SentencePieceProcessor(model_proto=buffer.getvalue())
model = proto.ModelProto.FromString(buffer.getvalue())

texts = [
    "a red circle",
    "A red circle, left of the blue square: 50% (drawn by hand).",
    "  two   spaces\tand a tab \n and an end  ",
    "rectangles beneath colourless stars",
    "unphotographable triangularity",
    "It isn't what's that?!",
    "",
    "   ",
    "x",
    "snow \u2603 and \u6f22\u5b57 beneath",
    "caf\u00e9 cafe\u0301",
    "\ufb01ne \uff21 \u2460 \u00bd \u2026",
    "no\u00a0break\u3000wide\u200bzero",
    "\U0001f468\u200d\U0001f469 red",
    "UPPER Case",
    "3.14159 2718",
    "red\u2581circle",
]

fast = Tokenizer(models.Unigram([(p.piece, p.score) for p in model.pieces], unk_id=2))
fast.normalizer = normalizers.Sequence([normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)])
fast.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
fast.post_processor = processors.TemplateProcessing(
    single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", 1)]
)
fast.add_special_tokens(["<pad>", "</s>", "<unk>"])
fast.decoder = decoders.Metaspace()

cases = []
for text in texts:
    slow, quick = [*oracle.encode(text), 1], fast.encode(text).ids
    cases.append({"text": text, "ids": slow, "tokenizerJson": quick, "decoded": oracle.decode(slow)})

OUT.mkdir(exist_ok=True)
settings = json.loads(fast.to_str())
for part in settings["normalizer"]["normalizers"]:
    part["precompiled_charsmap"] = "AA=="
model.normalizer_spec.precompiled_charsmap = b"\0"
model.trainer_spec.ClearField("input")
model.ClearField("self_test_data")
(OUT / "spiece.model").write_bytes(model.SerializeToString())
(OUT / "tokenizer.json").write_text(json.dumps(settings, ensure_ascii=False, indent=0) + "\n")
config = {"tokenizer_class": "T5Tokenizer", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "model_max_length": 64}
(OUT / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
(OUT / "cases.json").write_text(json.dumps({"cases": cases}, ensure_ascii=False, indent=1) + "\n")

"""PixArt-α, PixArt-Σ and DiT: transformers that learn the variance as well."""

from diffusers import DDIMScheduler, DiTPipeline, PixArtAlphaPipeline, PixArtSigmaPipeline
from networks import Vae
from record import NEGATIVE, PROMPT, SIZE, Family
from stable_diffusion import dpm
from text import T5, t5_tokenizer
from transformers_in_closed_form import DiT, PixArtTransformer


def pixart():
    family = Family("pixart")

    def parts(sample_size):
        return {
            "tokenizer": t5_tokenizer(),
            "text_encoder": T5(),
            "vae": Vae(),
            "transformer": PixArtTransformer(sample_size),
            "scheduler": dpm(solver_order=2),
        }

    words = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 4.5, "output_type": "latent"}
    call = {**words, "max_sequence_length": 12, "use_resolution_binning": False, "clean_caption": False, **SIZE}

    def run(name, pipe, **more):
        family.run(name, pipe, hook="step", **{**call, **more})

    alpha, sigma = PixArtAlphaPipeline(**parts(128)), PixArtSigmaPipeline(**parts(128))
    run("alpha", alpha, num_inference_steps=6, probe=["transformer"], output_type="np")
    run("alpha-no-sizes", PixArtAlphaPipeline(**parts(64)), num_inference_steps=3, probe=["transformer"])
    run("alpha-no-guidance", PixArtAlphaPipeline(**parts(128)), num_inference_steps=3, guidance_scale=1.0)
    two = {"prompt": [PROMPT, "masterpiece"], "negative_prompt": NEGATIVE, "num_images_per_prompt": 2}
    run("alpha-batch", PixArtAlphaPipeline(**parts(128)), num_inference_steps=2, **two)
    run("sigma", sigma, num_inference_steps=4, probe=["transformer"])
    family.write()


def dit():
    family = Family("dit")

    def pipe(scheduler, **more):
        return DiTPipeline(transformer=DiT(**more), vae=Vae(), scheduler=scheduler)

    def ddim():
        return DDIMScheduler(clip_sample=False)

    call = {"class_labels": [207, 360], "hook": "step", "output_type": "np"}
    family.run("ddim", pipe(ddim()), num_inference_steps=6, guidance_scale=4.0, probe=["transformer"], **call)
    family.run("no-guidance", pipe(ddim()), num_inference_steps=3, guidance_scale=1.0, **call)
    family.run("dpm", pipe(dpm()), num_inference_steps=4, guidance_scale=4.0, **call)
    family.run("no-variance", pipe(ddim(), out_channels=4), num_inference_steps=3, guidance_scale=4.0, **call)
    family.write()


def main():
    pixart()
    dit()

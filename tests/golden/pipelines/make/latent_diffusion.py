"""LDMTextToImagePipeline."""

from types import SimpleNamespace

from diffusers import DDIMScheduler, LDMTextToImagePipeline, PNDMScheduler
from networks import UNet, Vae
from record import PROMPT, Family
from stable_diffusion import BETAS
from text import ClipText, bert_tokenizer


class SampleUNet(UNet):
    """This pipeline reads its network's output by name."""

    def forward(self, *args, **kwargs):
        return SimpleNamespace(sample=super().forward(*args, **kwargs)[0])


def main():
    family = Family("latent-diffusion")

    def run(name, scheduler, **call):
        parts = {"vqvae": Vae(), "bert": ClipText(), "tokenizer": bert_tokenizer(), "unet": SampleUNet(), "scheduler": scheduler}
        # It divides sizes by 8 whatever the VAE: these are 8 × 12 latents and pictures of 16 × 24.
        size = {"height": 64, "width": 96, "output_type": "np", "hook": "step"}
        family.run(name, LDMTextToImagePipeline(**parts), probe=["unet"], num_inference_steps=5, **size, **call)

    ddim = DDIMScheduler(**BETAS, clip_sample=False)
    run("ddim", ddim, prompt=PROMPT, guidance_scale=6.0)
    run("no-guidance", ddim, prompt=PROMPT)
    run("pndm", PNDMScheduler(**BETAS, skip_prk_steps=True), prompt=["best quality", PROMPT], guidance_scale=3.0)
    family.write()

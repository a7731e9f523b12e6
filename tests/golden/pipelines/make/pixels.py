"""Unconditional and class-conditional pipelines: DDPM, DDIM, PNDM, score SDEs, consistency models, EDM in pixels; LDM in latents."""

import torch
from diffusers import (
    CMStochasticIterativeScheduler,
    ConsistencyModelPipeline,
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiffusionPipeline,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    LDMPipeline,
    PNDMPipeline,
    PNDMScheduler,
    ScoreSdeVePipeline,
)
from diffusers import ScoreSdeVeScheduler as Ve
from diffusers.utils.torch_utils import randn_tensor
from networks import UnconditionalUNet, Vae
from record import Family


class EdmLoop(DiffusionPipeline):
    """diffusers has no pipeline for EDM alone; this is the loop of its latent pipelines without a text."""

    def __init__(self, unet, scheduler):
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    def __call__(self, batch_size=1, num_inference_steps=8, generator=None, class_labels=None, output_type="np", return_dict=False):
        size = self.unet.config.sample_size
        x = randn_tensor((batch_size, self.unet.config.in_channels, size, size), generator=generator)
        self.scheduler.set_timesteps(num_inference_steps)
        x = x * self.scheduler.init_noise_sigma
        labels = None if class_labels is None else torch.tensor(class_labels)
        for t in self.scheduler.timesteps:
            out = self.unet(self.scheduler.scale_model_input(x, t), t, labels).sample
            x = self.scheduler.step(out, t, x).prev_sample
        return ((x / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy(),)


class ScoreSdeVeScheduler(Ve):
    """Its pipeline has no `step`. Recorded are the states at the next level, and the last one without its noise, which is what is shown."""

    def step(self, state, sigma, sample):
        return (state,)

    def step_pred(self, model_output, timestep, sample, **more):
        out = super().step_pred(model_output, timestep, sample, **more)
        i = self.timesteps.tolist().index(float(timestep))
        is_last = i == len(self.timesteps) - 1
        self.step(out.prev_sample_mean if is_last else out.prev_sample, self.sigmas[i], sample)
        return out


def main():
    family = Family("pixels")

    def run(name, pipe, **call):
        family.run(name, pipe, hook="step", output_type="np", **call)

    unet, classes = UnconditionalUNet, UnconditionalUNet(classes=10)
    run("ddpm", DDPMPipeline(unet(), DDPMScheduler()), batch_size=2, num_inference_steps=6, probe=["unet"])
    large = DDPMScheduler(variance_type="fixed_large", clip_sample=False, beta_schedule="squaredcos_cap_v2")
    run("ddpm-fixed-large-cosine", DDPMPipeline(unet(), large), num_inference_steps=5)
    learned = DDPMScheduler(variance_type="learned_range", beta_schedule="squaredcos_cap_v2")
    run("ddpm-learned-range", DDPMPipeline(unet(learned=True), learned), num_inference_steps=5, probe=["unet"])
    run("ddim", DDIMPipeline(unet(), DDIMScheduler()), batch_size=2, num_inference_steps=6)
    run("ddim-of-a-ddpm", DDIMPipeline(unet(), DDPMScheduler()), num_inference_steps=4)
    run("ddim-eta", DDIMPipeline(unet(), DDIMScheduler()), num_inference_steps=4, eta=0.7)
    clipped = {"eta": 0.5, "use_clipped_model_output": True}
    run("ddim-clipped-output", DDIMPipeline(unet(), DDIMScheduler()), num_inference_steps=4, **clipped)

    def consistency():
        return ConsistencyModelPipeline(classes, CMStochasticIterativeScheduler())

    run("consistency-1", consistency(), batch_size=2, class_labels=[3, 7], num_inference_steps=1, probe=["unet"])
    run("consistency-22-0", consistency(), class_labels=3, num_inference_steps=None, timesteps=[22, 0])
    run("consistency-3", ConsistencyModelPipeline(unet(), CMStochasticIterativeScheduler()), num_inference_steps=3)

    run("pndm", PNDMPipeline(unet(), PNDMScheduler(skip_prk_steps=True)), batch_size=2, num_inference_steps=6)
    run("pndm-runge-kutta", PNDMPipeline(unet(), PNDMScheduler()), num_inference_steps=6)
    run("pndm-of-a-ddpm", PNDMPipeline(unet(), DDPMScheduler()), num_inference_steps=5)

    # The network's score is no data's: over levels that lie close its states stay small.
    levels = {"sigma_min": 0.5, "sigma_max": 5.0}
    run("score-sde", ScoreSdeVePipeline(unet(), ScoreSdeVeScheduler(**levels)), num_inference_steps=5, probe=["unet"])
    twice = ScoreSdeVeScheduler(**levels, correct_steps=2, snr=0.1)
    run("score-sde-2-corrections", ScoreSdeVePipeline(unet(), twice), num_inference_steps=4)
    latent = {"vqvae": Vae(), "unet": UnconditionalUNet(channels=4)}
    run("latent-ddim", LDMPipeline(**latent, scheduler=DDIMScheduler(clip_sample=False)), batch_size=1, num_inference_steps=5)

    loop = "hand-written loop: diffusers has no pipeline for it"
    run("edm-euler", EdmLoop(unet(), EDMEulerScheduler()), num_inference_steps=6, probe=["unet"], note=loop)
    run("edm-euler-classes", EdmLoop(classes, EDMEulerScheduler()), num_inference_steps=4, class_labels=[3], note=loop)
    run("edm-dpm", EdmLoop(unet(), EDMDPMSolverMultistepScheduler()), num_inference_steps=6, note=loop)
    family.write()

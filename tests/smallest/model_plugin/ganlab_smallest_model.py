from ganlab import Model


class Perceptrons(Model):
    """Two perceptrons (Goodfellow et al. 2014), for pictures of any size."""

    api = 1

    def check(self, images):
        pass

    def build(self, images):
        from torch import nn

        shape = images[:3]
        pixels = images.channels * images.height * images.width
        return {
            "generator": nn.Sequential(
                nn.Linear(self.latent_dim, 256), nn.ReLU(), nn.Linear(256, pixels), nn.Tanh(), nn.Unflatten(1, shape)
            ),
            "discriminator": nn.Sequential(
                nn.Flatten(), nn.Linear(pixels, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1), nn.Flatten(0)
            ),
        }

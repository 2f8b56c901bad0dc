from ganlab import Loss, Update


class LeastSquares(Loss):
    """Draws the logits of real pictures to 1 and those of generated ones to 0 (Mao et al. 2017)."""

    api = 1

    def updates(self, networks, batches, iteration):
        G, D, (real, inputs, labels) = networks["generator"], networks["discriminator"], next(batches)
        fake = G(*inputs.values())
        yield Update("discriminator", ((D(real, *labels) - 1) ** 2 + D(fake.detach(), *labels) ** 2).mean())
        yield Update("generator", ((D(fake, *labels) - 1) ** 2).mean())

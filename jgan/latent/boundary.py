"""The linear boundary between latents that show something and latents that do not, and its normal as a direction.

Shen, Gu, Tang, Zhou, "Interpreting the Latent Space of GANs for Semantic Face Editing" (2020, InterFaceGAN). The paper
separates the latents of the highest and lowest scores by a support vector machine. Here the boundary is that of least
squares: it is the same plane where latents are normally distributed (Fisher's discriminant), it uses all scores instead
of the extreme ones, and it is found by one solution of linear equations.
"""

import jax
import jax.numpy as jnp

import jgan

RIDGE = 0.01  # of the mean variance of a number


def normal(latents: jax.Array, scores: jax.Array, ridge: float = RIDGE) -> jax.Array:
    """The direction [d] in which scores grow: a step of 1 is one standard deviation of the latents along it.

    Args:
        latents: [m, d].
        scores: [m], numbers of any scale; of two sets 1 and 0.
        ridge: what is added to the variance of each number, as a share of their mean, because a few latents say nothing
            of most directions.

    Raises:
        jgan.UserError: fewer than two latents.
    """
    m, d = latents.shape
    if m < 2:
        raise jgan.UserError(f"{m} latents with scores have no boundary between them: 2 or more would work.")
    x, y = latents - jnp.mean(latents, 0), scores - jnp.mean(scores)
    added = ridge * jnp.sum(jnp.square(x)) / d + 1e-30  # also of latents that are all the same
    # (X^T X + c)^-1 X^T y = X^T (X X^T + c)^-1 y: the smaller one of the two products.
    if d <= m:
        product, right = jnp.matmul(x.T, x, precision="highest"), x.T @ y
    else:
        product, right = jnp.matmul(x, x.T, precision="highest"), y
    solved = jnp.linalg.solve(product + added * jnp.eye(len(product), dtype=x.dtype), right)
    v = solved if d <= m else x.T @ solved
    v = v / jnp.maximum(jnp.linalg.norm(v), 1e-30)
    return v * jnp.std(x @ v)


def conditional(direction: jax.Array, others: jax.Array) -> jax.Array:
    """The direction [d] without its part along `others` [k, d], with its old length.

    To first order what the others change stays as it is (InterFaceGAN, section 3.3). Nearly nothing is left of a
    direction that depends on the others: then the result is 0.
    """
    left = direction - others.T @ (jnp.linalg.pinv(others.T) @ direction)
    before, after = jnp.linalg.norm(direction), jnp.linalg.norm(left)
    return jnp.where(after > 1e-3 * before, left * (before / jnp.maximum(after, 1e-30)), 0.0)

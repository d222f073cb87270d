"""Behaviour cloning of CartPole: the same episodes and the same model, which is told no return.

    weft train cartpole_cloning --out runs/cartpole_cloning

Cost: about three minutes on two cores. What it comes to is about the mean return of what it saw: what
`cartpole_decision` is held against.
"""

from dataclasses import replace

from weft.recipes.cartpole_decision import recipe as decision

recipe = replace(decision, name="cartpole_cloning", data=replace(decision.data, returns=False), story=__doc__ or "")

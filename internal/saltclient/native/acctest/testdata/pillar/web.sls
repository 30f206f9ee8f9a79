tier: front

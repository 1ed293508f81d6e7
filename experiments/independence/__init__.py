"""Studies of the independence tests by simulation: levels where the null hypothesis holds, power where it does not."""

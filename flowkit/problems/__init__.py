"""Problems: a loss with its gradient, its Hessian and the expressions they come from."""

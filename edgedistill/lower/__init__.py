"""From a torch module to the float graph, pass by pass."""

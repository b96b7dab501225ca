"""Programs the kernel for pods: links, addresses, routes, rules, queues."""

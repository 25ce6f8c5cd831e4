// Guests are heavy: one at a time gives each the machine, and steady times.
[assembly: Xunit.CollectionBehavior(DisableTestParallelization = true)]

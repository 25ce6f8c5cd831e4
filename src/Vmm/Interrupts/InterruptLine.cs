namespace WebVm.Vmm.Interrupts;

/// <summary>One global system interrupt as its devices share it: asserted while any source asserts it.</summary>
public sealed class InterruptLine(IInterruptRouter router, int gsi)
{
    private readonly Lock _lock = new();
    private int _asserting;

    public int Gsi { get; } = gsi;

    public Source CreateSource() => new(this);

    /// <summary>One device's contribution to the line.</summary>
    public sealed class Source(InterruptLine line)
    {
        private bool _asserted;

        public bool Asserted => _asserted;

        public int Gsi => line.Gsi;

        /// <summary>Sets the level; a level that is already there costs nothing.</summary>
        public void Set(bool asserted)
        {
            if (Volatile.Read(ref _asserted) == asserted)
            {
                return;
            }

            lock (line._lock)
            {
                if (_asserted == asserted)
                {
                    return;
                }

                _asserted = asserted;
                line._asserting += asserted ? 1 : -1;
                if (line._asserting == (asserted ? 1 : 0))
                {
                    line.Router.SetLine(line.Gsi, asserted);
                }
            }
        }

        /// <summary>One edge: up and down again.</summary>
        public void Pulse()
        {
            Set(true);
            Set(false);
        }
    }

    private IInterruptRouter Router { get; } = router;
}

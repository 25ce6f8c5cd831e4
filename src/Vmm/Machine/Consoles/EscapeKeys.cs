namespace WebVm.Vmm.Machine.Consoles;

public enum EscapeCommand
{
    Quit,
    Help,
}

/// <summary>Takes the monitor's own keys out of what is typed for the guest: Ctrl-A, then a letter.</summary>
public sealed class EscapeKeys
{
    public const byte Prefix = 1;

    public const string Help = "Ctrl-A X  quit\r\nCtrl-A H  this help\r\nCtrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

    private bool _prefixed;

    /// <summary>Filters <paramref name="typed"/> in place.</summary>
    /// <returns>How many bytes of the front are for the guest.</returns>
    public int Filter(Span<byte> typed, Action<EscapeCommand> command)
    {
        int kept = 0;
        foreach (byte key in typed)
        {
            if (!_prefixed)
            {
                if (key == Prefix)
                {
                    _prefixed = true;
                }
                else
                {
                    typed[kept++] = key;
                }

                continue;
            }

            _prefixed = false;
            switch ((char)(key | 0x20))
            {
                case 'x':
                    command(EscapeCommand.Quit);
                    break;
                case 'h' or '?':
                    command(EscapeCommand.Help);
                    break;
                default:
                    if (key == Prefix)
                    {
                        typed[kept++] = Prefix;
                    }

                    break;
            }
        }

        return kept;
    }
}

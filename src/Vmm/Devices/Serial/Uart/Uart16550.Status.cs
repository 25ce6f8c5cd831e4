namespace WebVm.Vmm.Devices.Serial.Uart;

/// <content>What the status registers show, and which interrupt is pending.</content>
public sealed partial class Uart16550
{
    private UartLineStatus LineStatus()
    {
        var status = _lineErrors;
        if (_received.Count > 0)
        {
            status |= UartLineStatus.DataReady;
        }

        if (_transmitting.Count == 0)
        {
            status |= UartLineStatus.HoldingEmpty | UartLineStatus.TransmitterEmpty;
        }

        if (FifosEnabled && (_lineErrors & ~UartLineStatus.Overrun) != 0)
        {
            status |= UartLineStatus.FifoError;
        }

        return status;
    }

    /// <summary>The modem's lines as the guest sees them: in loopback its own outputs (data sheet §8.6).</summary>
    private UartModemStatus ModemLines()
    {
        if (!Loopback)
        {
            return UartModemStatus.ClearToSend | UartModemStatus.DataSetReady | (_carrier ? UartModemStatus.Carrier : 0);
        }

        UartModemStatus lines = 0;
        lines |= (_modemControl & UartModemControl.RequestToSend) != 0 ? UartModemStatus.ClearToSend : 0;
        lines |= (_modemControl & UartModemControl.DataTerminalReady) != 0 ? UartModemStatus.DataSetReady : 0;
        lines |= (_modemControl & UartModemControl.Out1) != 0 ? UartModemStatus.Ring : 0;
        lines |= (_modemControl & UartModemControl.Out2) != 0 ? UartModemStatus.Carrier : 0;
        return lines;
    }

    private void UpdateModemStatus()
    {
        var now = ModemLines();
        var changed = (now ^ _modemStatus) & UartModemStatus.Lines;
        var deltas = _modemStatus & UartModemStatus.Deltas;
        deltas |= (UartModemStatus)((byte)(changed & ~UartModemStatus.Ring) >> 4);
        if ((changed & UartModemStatus.Ring) != 0 && (now & UartModemStatus.Ring) == 0)
        {
            deltas |= UartModemStatus.TrailingEdgeRing;
        }

        _modemStatus = now | deltas;
    }

    private byte Cause()
    {
        if ((_enabled & UartInterrupts.LineStatus) != 0 && _lineErrors != 0)
        {
            return UartCause.LineStatus;
        }

        if ((_enabled & UartInterrupts.DataAvailable) != 0 && _received.Count > 0)
        {
            return _received.Count >= TriggerLevel ? UartCause.DataAvailable : UartCause.CharacterTimeout;
        }

        if ((_enabled & UartInterrupts.TransmitterEmpty) != 0 && _transmitterInterrupt)
        {
            return UartCause.TransmitterEmpty;
        }

        return (_enabled & UartInterrupts.ModemStatus) != 0 && (_modemStatus & UartModemStatus.Deltas) != 0
            ? UartCause.ModemStatus
            : UartCause.None;
    }

    private void UpdateInterrupt()
    {
        // In loopback the output pins are inactive, OUT2 among them; Linux 8250's interrupt probe relies on OUT2 alone.
        _interrupt.Set(Cause() != UartCause.None && (_modemControl & UartModemControl.Out2) != 0);
    }
}

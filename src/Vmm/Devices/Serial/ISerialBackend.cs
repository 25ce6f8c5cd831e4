using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Serial;

/// <summary>What lies at the far end of a serial line, as the UART sees it. Calls come from vCPU threads and must not wait.</summary>
public interface ISerialBackend
{
    /// <summary>Takes bytes that the guest sent.</summary>
    /// <returns>How many were taken, from the first on. If not all, <see cref="ISerialPort.OutputReady"/> is called when there is room
    /// again.</returns>
    int Send(ReadOnlySpan<byte> data);

    /// <summary>The guest has read: a delivery that was refused in part may go on.</summary>
    void InputReady();

    /// <summary>Called once, before the guest starts.</summary>
    void Connect(ISerialPort port);
}

/// <summary>A UART as its back end sees it. Callable from any thread; none of these waits for the guest.</summary>
public interface ISerialPort : IHostInput
{
    /// <summary>Hands over bytes for the guest.</summary>
    /// <returns>How many were taken; for the rest wait for <see cref="ISerialBackend.InputReady"/>.</returns>
    int Deliver(ReadOnlySpan<byte> data);

    /// <summary>There is room for output again.</summary>
    void OutputReady();

    /// <summary>A break condition on the line (Linux: the SysRq key).</summary>
    void SendBreak();

    /// <summary>Carrier detect: whether somebody listens at the far end.</summary>
    void SetCarrier(bool present);
}

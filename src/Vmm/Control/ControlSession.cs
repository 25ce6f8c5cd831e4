using System.Text.Json;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Control;

/// <summary>
/// One client's connection: a thread that reads requests and answers them in turn, and one that sends. What the client does wrong
/// ends the connection, nothing else.
/// </summary>
internal sealed class ControlSession : IDisposable
{
    private readonly ControlConnection _connection;
    private readonly ControlMethods _methods;
    private readonly ControlOutbox _outbox;
    private readonly ControlCaller _caller;
    private readonly ControlHello _hello;
    private readonly Action<ControlSession> _ended;
    private readonly Thread _sender;
    private readonly Thread _receiver;

    /// <summary>A request is being worked on: its reply is still to be queued.</summary>
    private volatile bool _answering;

    public ControlSession(FileDescriptor socket, ControlHello hello, ControlMethods methods, Action<ControlSession> ended)
    {
        _connection = new ControlConnection(socket);
        _methods = methods;
        _outbox = new ControlOutbox(methods.SerialLog);
        _caller = new ControlCaller(_outbox);
        _hello = hello;
        _ended = ended;
        _sender = new Thread(SendLoop) { Name = "control send", IsBackground = true };
        _receiver = new Thread(ReceiveLoop) { Name = "control receive", IsBackground = true };
    }

    public void Start()
    {
        _sender.Start();
        _receiver.Start();
    }

    /// <summary>Sends an event. A client that does not keep up is cut off.</summary>
    /// <param name="descriptors">Go with it, and belong to the session from now on.</param>
    public void Notify(ControlMessage message, params FileDescriptor[] descriptors)
    {
        if (!_outbox.TryAdd(message, descriptors))
        {
            Abort();
        }
    }

    public void SerialGrew() => _outbox.Wake();

    /// <summary>Ends the connection, from any thread.</summary>
    public void Abort() => _connection.Abort();

    /// <summary>
    /// Sends what is queued, and the reply to a request that is being worked on (it may be the one that ended the machine), if the client
    /// takes it in time, and ends the connection.
    /// </summary>
    /// <param name="deadline">In ticks of <see cref="Environment.TickCount64"/>.</param>
    public void Finish(long deadline)
    {
        while ((_answering || _outbox.Pending) && Environment.TickCount64 < deadline)
        {
            Thread.Sleep(5);
        }

        Abort();
    }

    /// <summary>
    /// Waits until no request of the client is being worked on, after <see cref="Finish"/>. Not from the session's own threads.
    /// </summary>
    public void Join(long deadline) => _receiver.Join((int)Math.Max(0, deadline - Environment.TickCount64));

    /// <summary>Ends the connection; its threads let go of it by themselves.</summary>
    public void Dispose() => _connection.Dispose();

    private void SendLoop()
    {
        try
        {
            _connection.Send(_hello, ControlJson.Default.ControlHello);
            while (_outbox.Take() is { } entry)
            {
                try
                {
                    _connection.Send(
                        entry.Message with { Descriptors = entry.Descriptors.Length }, ControlJson.Default.ControlMessage,
                        entry.Descriptors);
                }
                finally
                {
                    foreach (var descriptor in entry.Descriptors)
                    {
                        descriptor.Dispose();
                    }
                }
            }
        }
        catch (Exception gone) when (gone is IOException or LinuxException or ObjectDisposedException)
        {
            _outbox.Close();
            Abort();
        }
    }

    private void ReceiveLoop()
    {
        try
        {
            while (_outbox.WaitForRoom() && _connection.Receive(ControlJson.Default.ControlRequest) is { } request)
            {
                _caller.Bring(_connection.TakeDescriptors(request.Descriptors));
                _answering = true;
                if (!_outbox.TryAdd(Answer(request, out var descriptors), descriptors))
                {
                    break;
                }

                _answering = false;
            }
        }
        catch (Exception gone) when (gone is IOException or LinuxException or ObjectDisposedException or InvalidDataException)
        {
            // A client that breaks off or breaks the rules is not answered further.
        }

        _answering = false;
        _outbox.Close();
        _methods.Forget(_outbox);
        _caller.Dispose();
        Abort();
        _sender.Join();
        Dispose();
        _ended(this);
    }

    private ControlMessage Answer(ControlRequest request, out FileDescriptor[] descriptors)
    {
        descriptors = [];
        try
        {
            var result = _methods.Call(request.Method, request.Parameters, _caller);
            descriptors = result.Descriptors;
            return new ControlMessage { Id = request.Id, Result = result.Value };
        }
        catch (ControlException refused)
        {
            return Refuse(request, refused.Code, refused.Message);
        }
        catch (JsonException malformed)
        {
            return Refuse(request, ControlErrorCode.BadRequest, malformed.Message);
        }
        catch (Exception failure)
        {
            return Refuse(request, ControlErrorCode.Failed, failure.Message);
        }
        finally
        {
            _caller.Bring([]);
        }
    }

    private static ControlMessage Refuse(ControlRequest request, string code, string message) =>
        new() { Id = request.Id, Error = new ControlError(code, message) };
}

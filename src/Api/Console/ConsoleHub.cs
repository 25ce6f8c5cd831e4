using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.SignalR;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Console.Display;
using WebVm.Api.Console.Keyboard;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Api.Runs;
using WebVm.Vmm.Control;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Keys;

namespace WebVm.Api.Console;

/// <summary>
/// The console in the browser, over SignalR with MessagePack. One connection is for one screen or one serial port. The server calls
/// "frame", "off", "presence", "serial" and "pulse"; what the frame holds is described at <see cref="FrameWriter"/>, what pulses are for at
/// <see cref="Pulse"/>.
/// </summary>
[Authorize(Policy = EndpointConventions.ScopePolicyPrefix + Scopes.ConsoleView)]
internal sealed class ConsoleHub(
    ConsoleRooms rooms, SerialAttention attention, HubConnections<ConsoleHub> connections, VmSupervisor supervisor, StreamLimits limits,
    IDbContextFactory<WebVmDbContext> databases) : Hub
{
    private const string NoSuchVm = "There is no such VM.";
    private const int SerialChunkBytes = 32 * 1024;
    private const int LargestWrite = 64 * 1024;
    private const int FarthestMotion = 1 << 14;

    /// <summary>Taken by the first try to open something, until the connection ends.</summary>
    private StreamLimits.Lease? Stream
    {
        get => Context.Items.TryGetValue(typeof(StreamLimits.Lease), out object? lease) ? (StreamLimits.Lease?)lease : null;
        set => Context.Items[typeof(StreamLimits.Lease)] = value;
    }

    private Session? Current
    {
        get => Context.Items.TryGetValue(typeof(Session), out object? session) ? (Session?)session : null;
        set => Context.Items[typeof(Session)] = value;
    }

    /// <summary>Watches a VM's screen, and controls it if nobody else does and the caller may.</summary>
    public async Task OpenDisplay(Guid vm, bool viewOnly)
    {
        await CheckAsync(vm);
        bool mayControl = !viewOnly && Context.User!.Has(Scopes.ConsoleControl);
        var viewer = new Viewer(connections[Context.ConnectionId], Clients.Caller, Context.User!.Actor(), mayControl);
        var room = rooms.Room(vm);
        var session = Current = new Session(vm, new Pulse(), room, viewer, null, null);
        room.Join(viewer);
        // Keys that the viewer holds down while the link is silent would be repeated by the guest.
        _ = session.Pulse.BeatAsync(
            Clients.Caller, () => room.IsController(viewer) ? room.ReleaseKeysAsync() : Task.CompletedTask, Context.ConnectionAborted);
    }

    /// <summary>Takes the place of an earlier connection of the same window, of whose end the service may not know yet.</summary>
    /// <param name="former">Its id.</param>
    public async Task Succeed(string former)
    {
        if (Current is { Room: { } room, Viewer: { } viewer } && former != viewer.Id && await room.SucceedAsync(former, viewer))
        {
            connections.Find(former)?.Abort();
        }
    }

    /// <summary>A pulse has arrived: what comes behind this was sent later.</summary>
    public void Heard(long time) => Current?.Pulse.Heard(time);

    /// <summary>A frame has been painted; the next may come.</summary>
    /// <param name="kept">Milliseconds since it arrived in the browser.</param>
    public void Acknowledge(long frame, int kept) => Current?.Viewer?.Acknowledge((uint)frame, kept);

    /// <summary>A key by its place (KeyboardEvent.code) went down or up. Only the controller's keys count.</summary>
    public Task Key(string code, bool pressed) =>
        KeyNames.IsCode(code)
            ? InputAsync(client => client.SendKeyEventsAsync(new KeyEvent(code, pressed)))
            : Task.CompletedTask;

    public Task Pointer(int x, int y, int wheel, int buttons) => InputAsync(client => client.SendPointerAsync(new PointerParameters(
        Math.Clamp(x, -FarthestMotion, FarthestMotion), Math.Clamp(y, -FarthestMotion, FarthestMotion), Math.Clamp(wheel, -100, 100),
        buttons & (int)PointerButtons.All)));

    public async Task TakeControl()
    {
        if (Current is { Room: { } room, Viewer: { } viewer })
        {
            await room.TakeControlAsync(viewer);
        }
    }

    /// <summary>Types text with the guest's keyboard layout.</summary>
    /// <returns>The characters that the layout cannot type; nothing is typed unless there are none.</returns>
    public async Task<string> Paste(string text, string layout)
    {
        if (KeyboardLayout.Find(layout) is not { } keyboard || text.Length > Typist.LongestText)
        {
            throw new HubException("The layout is unknown or the text is too long.");
        }

        string missing = Typist.Missing(text, keyboard);
        if (missing.Length == 0)
        {
            await InputAsync(client => Typist.TypeAsync(client, text, keyboard, Context.ConnectionAborted));
        }

        return missing;
    }

    /// <summary>Follows a VM's serial log from an offset on; a negative one counts from the end.</summary>
    public async Task OpenSerial(Guid vm, long offset)
    {
        await CheckAsync(vm);
        var lease = supervisor.Use(vm);
        try
        {
            Current = new Session(vm, new Pulse(), null, null, lease.Agent.Serial, lease);
        }
        catch (ObjectDisposedException)
        {
            lease.Dispose();
            throw new HubException(NoSuchVm);
        }

        _ = FollowAsync(Current.Serial!, offset, Clients.Caller, Context.ConnectionAborted);
        _ = Current.Pulse.BeatAsync(Clients.Caller, () => Task.CompletedTask, Context.ConnectionAborted);
    }

    /// <summary>What a viewer typed.</summary>
    public Task WriteSerial(byte[] data)
    {
        AttendSerial(true);
        return WriteAsync(data);
    }

    /// <summary>
    /// The viewer's terminal has the focus now, or no longer: what the guest asks terminals is answered by the one that had it last.
    /// </summary>
    public void AttendSerial(bool attentive)
    {
        if (Current is not { Serial: { } journal } session || !Context.User!.Has(Scopes.ConsoleControl))
        {
            return;
        }

        if (attentive)
        {
            attention.Take(session.Vm, Context.ConnectionId, journal.End);
        }
        else
        {
            attention.Leave(session.Vm, Context.ConnectionId);
        }
    }

    /// <summary>
    /// What a viewer's terminal answers by itself; dropped unless it is this terminal's turn (<see cref="SerialAttention"/>).
    /// </summary>
    /// <param name="offset">Where the output with the question begins in the log.</param>
    public Task AnswerSerial(byte[] data, long offset) =>
        Current is { Serial: not null } session && attention.Answers(session.Vm, Context.ConnectionId, offset)
            ? WriteAsync(data)
            : Task.CompletedTask;

    public override async Task OnDisconnectedAsync(Exception? exception)
    {
        Stream?.Dispose();
        if (Current is { Room: { } room, Viewer: { } viewer })
        {
            await room.LeaveAsync(viewer);
        }
        else if (Current is { Serial: not null } session)
        {
            attention.Leave(session.Vm, Context.ConnectionId);
            session.Lease?.Dispose();
        }

        await base.OnDisconnectedAsync(exception);
    }

    private async Task WriteAsync(byte[] data)
    {
        if (Current is not { Serial: not null, Pulse: { Fresh: true } pulse } session || !Context.User!.Has(Scopes.ConsoleControl)
            || data.Length > LargestWrite)
        {
            return;
        }

        try
        {
            for (int at = 0; at < data.Length && supervisor.Client(session.Vm) is { } client;)
            {
                int taken = await client.WriteSerialAsync(data[at..]);
                at += taken;
                if (taken == 0)
                {
                    await Task.Delay(10, Context.ConnectionAborted);
                }
            }

            pulse.Renew();
        }
        catch (Exception failure) when (failure is IOException or ControlException or OperationCanceledException)
        {
            // The machine or the viewer is gone, and with it the reason to write.
        }
    }

    private static async Task FollowAsync(SerialJournal journal, long offset, ISingleClientProxy client, CancellationToken gone)
    {
        byte[] buffer = new byte[SerialChunkBytes];
        long position = offset < 0 ? Math.Max(journal.First, journal.End + offset) : offset;
        try
        {
            while (!gone.IsCancellationRequested)
            {
                var grown = journal.Grown;
                int count = journal.Read(ref position, buffer);
                if (count == 0)
                {
                    await grown.WaitAsync(gone);
                    continue;
                }

                await client.SendAsync("serial", position, buffer[..count], gone);
                position += count;
            }
        }
        catch (Exception failure) when (failure is OperationCanceledException or ObjectDisposedException)
        {
            // The viewer left, or the VM was deleted.
        }
    }

    private async Task CheckAsync(Guid vm)
    {
        if (Current is not null)
        {
            throw new HubException("This connection is in use already.");
        }

        if (Context.User!.FindFirst(ConsoleTickets.VmClaim) is { } bound && bound.Value != vm.ToString())
        {
            throw new HubException("This console session is for another VM.");
        }

        Stream ??= limits.TryOpen(Context.User!, StreamKind.Console)
            ?? throw new HubException($"{StreamLimits.MostOfOneUser} of your consoles are open; close one first.");
        await using var database = await databases.CreateDbContextAsync(Context.ConnectionAborted);
        if (!await database.Vms.AnyAsync(v => v.Id == vm, Context.ConnectionAborted))
        {
            throw new HubException(NoSuchVm);
        }
    }

    /// <summary>Input of the controller goes to the machine, if it was sent lately; anybody else's goes nowhere.</summary>
    private async Task InputAsync(Func<ControlClient, Task> send)
    {
        if (Current is { Room: { } room, Viewer: { } viewer, Pulse: { Fresh: true } pulse } session && room.IsController(viewer)
            && supervisor.Client(session.Vm) is { } client)
        {
            room.ExpectChange();
            try
            {
                await send(client);
                pulse.Renew();
            }
            catch (Exception failure) when (failure is IOException or ControlException or OperationCanceledException)
            {
                // The machine stopped in this moment; there is nobody left to press keys for.
            }
        }
    }

    private sealed record Session(Guid Vm, Pulse Pulse, ConsoleRoom? Room, Viewer? Viewer, SerialJournal? Serial, AgentLease? Lease);
}

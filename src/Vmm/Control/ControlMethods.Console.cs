using System.Text.Json;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Host;
using WebVm.Vmm.Keys;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Pictures;

namespace WebVm.Vmm.Control;

/// <content>The methods for display, keyboard and pointer.</content>
internal sealed partial class ControlMethods
{
    private const int MaximumKeys = 1024;

    /// <summary>What a viewer may ask for; the guest decides what it makes of it.</summary>
    private const int MinimumExtent = 320;
    private const int MaximumExtent = 4096;

    private IKeyboardInput Keyboard =>
        _machine.Keyboard ?? throw new ControlException(ControlErrorCode.NotPresent, "the machine has no keyboard");

    private DisplayPublisher Display =>
        _machine.DisplayPublisher ?? throw new ControlException(ControlErrorCode.NotPresent, "the machine has no display");

    public static ControlMessage ModeEvent(DisplayGeometry? geometry) => new()
    {
        Event = ControlEvents.DisplayMode,
        Data = geometry is null ? s_empty : JsonSerializer.SerializeToElement(geometry, ControlJson.Default.DisplayGeometry),
    };

    public DisplayGeometry? Geometry() => _machine.Framebuffer?.Mode is { } mode
        ? new DisplayGeometry(mode.Width, mode.Height, mode.BitsPerPixel, mode.Stride, mode.Offset)
        : null;

    /// <summary>A client is gone: what it had attached counts no more.</summary>
    public void Forget(ControlOutbox outbox)
    {
        if (outbox.DisplayAttached)
        {
            DisplayDetach(outbox);
        }
    }

    private ControlResult SendKeys(SendKeysParameters parameters)
    {
        if (parameters.Keys.Count > MaximumKeys)
        {
            throw new ControlException(ControlErrorCode.BadRequest, $"more than {MaximumKeys} keys at once");
        }

        var combinations = new List<IReadOnlyList<KeyCode>>();
        foreach (string text in parameters.Keys)
        {
            combinations.Add(text is not null && KeyNames.TryParseCombination(text, out var keys)
                ? keys
                : throw new ControlException(
                    ControlErrorCode.BadRequest, $"'{text}' is no key or combination such as \"a\" or \"ctrl-alt-delete\""));
        }

        var keyboard = Keyboard;
        return Taken(combinations.TakeWhile(combination => Typing.Press(keyboard, combination)).Count());
    }

    private ControlResult SendText(SendTextParameters parameters) => parameters.Text.Length <= ControlProtocol.MaximumText
        ? Taken(Typing.Type(Keyboard, parameters.Text))
        : throw new ControlException(ControlErrorCode.BadRequest, $"more than {ControlProtocol.MaximumText} characters at once");

    private ControlResult KeyEvents(KeyEventsParameters parameters)
    {
        if (parameters.Events.Count > MaximumKeys)
        {
            throw new ControlException(ControlErrorCode.BadRequest, $"more than {MaximumKeys} keys at once");
        }

        var keys = new List<(KeyCode Key, bool Pressed)>();
        foreach (var happened in parameters.Events)
        {
            keys.Add(happened is not null && KeyNames.TryParse(happened.Code, out var key)
                ? (key, happened.Pressed)
                : throw new ControlException(ControlErrorCode.BadRequest, $"'{happened?.Code}' is no key"));
        }

        var keyboard = Keyboard;
        return Taken(keys.Count(entry => keyboard.SendKey(entry.Key, entry.Pressed)));
    }

    private ControlResult ReleaseKeys()
    {
        Keyboard.ReleaseAllKeys();
        return new ControlResult(s_empty, []);
    }

    private ControlResult Pointer(PointerParameters parameters)
    {
        var pointer = _machine.Pointer ?? throw new ControlException(ControlErrorCode.NotPresent, "the machine has no pointer");
        const int most = (int)PointerButtons.All;
        if (parameters.Buttons is < 0 or > most)
        {
            throw new ControlException(ControlErrorCode.BadRequest, $"buttons is 0 to {most}");
        }

        const int farthest = 1 << 16;
        bool taken = pointer.SendPointer(
            Math.Clamp(parameters.DeltaX, -farthest, farthest), Math.Clamp(parameters.DeltaY, -farthest, farthest),
            Math.Clamp(parameters.Wheel, -farthest, farthest), (PointerButtons)parameters.Buttons);
        return Taken(taken ? 1 : 0);
    }

    private ControlResult Screenshot(ScreenshotParameters parameters)
    {
        if (parameters.Width is < 1)
        {
            throw new ControlException(ControlErrorCode.BadRequest, "width is a number of pixels");
        }

        var framebuffer = _machine.Framebuffer ?? throw new ControlException(ControlErrorCode.NotPresent, "the machine has no display");
        var shot = framebuffer.Capture() ?? throw new ControlException(ControlErrorCode.InvalidState, "the display is off");
        return Share(parameters.Width is { } width ? shot.NoWiderThan(width) : shot);
    }

    /// <summary>What the display shows, with the picture's descriptor; null where it shows nothing.</summary>
    public ControlResult? TakeLastScreen() => _machine.Framebuffer?.Capture() is { } shot ? Share(shot) : null;

    private static ControlResult Share(Screenshot shot)
    {
        using var png = new MemoryStream();
        shot.WritePng(png);
        // Through memory of its own: a picture may be longer than a message.
        var file = MemoryFile.Create("screenshot", (ulong)png.Length);
        try
        {
            SparseFile.Write(file.Descriptor, 0, png.GetBuffer().AsSpan(0, (int)png.Length));
            return Value(new ScreenshotResult(shot.Width, shot.Height, png.Length), ControlJson.Default.ScreenshotResult, file.Descriptor);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private ControlResult DisplayAttach(ControlOutbox outbox)
    {
        var display = Display;
        var framebuffer = _machine.Framebuffer!.Memory.File;
        if (!outbox.DisplayAttached)
        {
            display.AddViewer();
            outbox.DisplayAttached = true;
        }

        return Value(new DisplayAttachResult(framebuffer.Size, display.File.Size), ControlJson.Default.DisplayAttachResult,
            framebuffer.Descriptor.Duplicate(), display.File.Descriptor.Duplicate());
    }

    private ControlResult DisplayDetach(ControlOutbox outbox)
    {
        if (outbox.DisplayAttached)
        {
            outbox.DisplayAttached = false;
            Display.RemoveViewer();
        }

        return new ControlResult(s_empty, []);
    }

    private ControlResult DisplayPrefer(DisplayPreferParameters parameters)
    {
        if (parameters.Width is < MinimumExtent or > MaximumExtent || parameters.Height is < MinimumExtent or > MaximumExtent)
        {
            throw new ControlException(ControlErrorCode.BadRequest, $"width and height are {MinimumExtent} to {MaximumExtent}");
        }

        _ = Display;
        _machine.Framebuffer!.Prefer(parameters.Width, parameters.Height);
        return new ControlResult(s_empty, []);
    }

    private static ControlResult Taken(int count) => Value(new InputResult(count), ControlJson.Default.InputResult);
}

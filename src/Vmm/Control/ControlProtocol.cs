namespace WebVm.Vmm.Control;

/// <summary>The constants of the control protocol (docs/control-protocol.md).</summary>
public static class ControlProtocol
{
    public const string Name = "webvm-control";

    /// <summary>Raised when an old client could misunderstand; fields may be added without.</summary>
    public const int Version = 2;

    /// <summary>The oldest version that a client can lead a machine by: machines outlive the service that started them.</summary>
    public const int OldestVersion = 1;

    /// <summary>From this version on a state is saved to files that the client hands over; before, to a directory that it named.</summary>
    public const int VersionWithHandedFiles = 2;

    /// <summary>Bytes of JSON in one message, either way.</summary>
    public const int MaximumMessage = 1 << 20;

    /// <summary>Levels of nesting in a message.</summary>
    public const int MaximumDepth = 32;

    public const int MaximumClients = 32;

    /// <summary>Replies that wait for a client to read them; its next request is looked at when there are fewer.</summary>
    public const int MaximumReplies = 8;

    /// <summary>Messages that wait for a client to read them; one that lets more gather is cut off.</summary>
    public const int MaximumBacklog = 1024;

    /// <summary>Bytes of serial data in one message.</summary>
    public const int MaximumSerialChunk = 64 * 1024;

    /// <summary>
    /// Milliseconds that a guest has to let a device go, unless said. Linux waits for five seconds whether somebody changes his mind.
    /// </summary>
    public const int UnplugDeadline = 30_000;

    /// <summary>
    /// The longest that a client may wait: it makes no other request meanwhile, and hears by an event of a device that goes later.
    /// </summary>
    public const int LongestUnplugDeadline = 60_000;

    /// <summary>Characters in one send-text request.</summary>
    public const int MaximumText = 16 * 1024;
}

/// <summary>Codes of error replies: what a client can react to. The message is for people.</summary>
public static class ControlErrorCode
{
    /// <summary>The request is malformed: no such method, a missing or wrong parameter.</summary>
    public const string BadRequest = "bad-request";

    /// <summary>The machine's state does not allow it.</summary>
    public const string InvalidState = "invalid-state";

    /// <summary>The machine has no such part (display, serial port).</summary>
    public const string NotPresent = "not-present";

    /// <summary>It was tried and failed.</summary>
    public const string Failed = "failed";
}

/// <summary>The machine refused a request.</summary>
public sealed class ControlException(string code, string message) : Exception(message)
{
    public string Code { get; } = code;
}

/// <summary>The machine's process did not answer in time: it was stopped, or its host has too much to do.</summary>
public sealed class ControlTimeoutException(string message) : IOException(message);

/// <summary>The other side of a control connection does not keep to the protocol.</summary>
public sealed class ControlProtocolException(string message) : IOException(message);

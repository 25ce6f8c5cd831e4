using WebVm.Api.Persistence.Entities;

namespace WebVm.Web.Formatting;

/// <summary>What happened, in words.</summary>
public static class EventTitles
{
    /// <summary>A sentence, and more where there is more to say.</summary>
    public static (string Title, string? Detail) Describe(this EventRecord record, string? vm)
    {
        string name = vm ?? "A machine";
        return record.Type switch
        {
            "vm.starting" => ($"{name} is starting", record.Message),
            "vm.running" => ($"{name} is running", record.Message),
            "vm.paused" => ($"{name} is paused", record.Message),
            "vm.saving" => ($"{name} is being saved", record.Message),
            "vm.saved" => ($"{name} is saved to disk", record.Message),
            "vm.stopping" => ($"{name} is shutting down", record.Message),
            "vm.off" => ($"{name} is off", record.Message),
            "vm.crashed" => ($"{name} crashed", record.Message),
            "vm.failed" => ($"{name} could not run", record.Message),
            _ => (record.Message is { Length: > 0 } message ? message : record.Type, null),
        };
    }

    /// <summary>The colour of its dot.</summary>
    public static string Tone(this EventRecord record) => record.Type[(record.Type.IndexOf('.', StringComparison.Ordinal) + 1)..] switch
    {
        "running" or "ready" or "created" => "good",
        "crashed" or "failed" => "bad",
        "paused" or "stopping" or "deleted" => "warn",
        _ => "",
    };
}

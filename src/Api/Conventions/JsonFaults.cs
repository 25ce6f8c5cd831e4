using System.Text.Json;

namespace WebVm.Api.Conventions;

/// <summary>Turns a JSON reader's complaint into the field that it is about.</summary>
public static class JsonFaults
{
    public static FieldFault From(JsonException failure)
    {
        string pointer = ToPointer(failure.Path ?? "");
        string message = failure.Message.Contains("could not be mapped", StringComparison.Ordinal) ? "is not a known field"
            : failure.Message.Contains("Duplicate propert", StringComparison.Ordinal) ? "has a field that is given twice" : "is not of the expected form";
        return new(pointer, message);
    }

    // "$.numa[0].cpus" → "/numa/0/cpus".
    private static string ToPointer(string path)
    {
        string trimmed = path.TrimStart('$').Replace("['", "/", StringComparison.Ordinal).Replace("']", "", StringComparison.Ordinal);
        return trimmed.Replace(".", "/", StringComparison.Ordinal).Replace("[", "/", StringComparison.Ordinal).Replace("]", "", StringComparison.Ordinal);
    }
}

using System.Globalization;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Web.Formatting;

/// <summary>Quantities and times as people read them.</summary>
public static class Text
{
    private static readonly string[] Units = ["B", "KiB", "MiB", "GiB", "TiB"];

    public static string Bytes(double bytes)
    {
        int unit = 0;
        while (bytes >= 1024 && unit < Units.Length - 1)
        {
            bytes /= 1024;
            unit++;
        }

        return string.Create(
            CultureInfo.InvariantCulture, $"{(unit == 0 || bytes >= 100 || bytes == Math.Floor(bytes) ? bytes.ToString("0", CultureInfo.InvariantCulture) : bytes.ToString("0.#", CultureInfo.InvariantCulture))} {Units[unit]}");
    }

    /// <summary>By its largest unit alone, for the exact time stands in a title.</summary>
    public static string Ago(DateTimeOffset at)
    {
        var age = DateTimeOffset.UtcNow - at;
        return age.TotalSeconds < 45 ? "just now" : age.TotalHours is >= 1 and < 24 ? $"{(int)age.TotalHours} h ago" : $"{Span(age)} ago";
    }

    /// <summary>A duration by its largest unit or two.</summary>
    public static string Span(TimeSpan span) => span switch
    {
        { TotalSeconds: < 60 } => $"{Math.Max(0, (int)span.TotalSeconds)} s",
        { TotalMinutes: < 60 } => $"{(int)span.TotalMinutes} min",
        { TotalHours: < 24 } => span.Minutes == 0 ? $"{(int)span.TotalHours} h" : $"{(int)span.TotalHours} h {span.Minutes} min",
        { TotalDays: < 60 } => $"{(int)span.TotalDays} d",
        _ => $"{(int)(span.TotalDays / 30)} months",
    };

    /// <summary>A level of isolation in a few words.</summary>
    public static string Isolation(string level) => level switch
    {
        "users" => "A user and namespaces of its own",
        "namespaces" => "Namespaces of its own",
        "process" => "A filtered process",
        _ => "An ordinary process",
    };

    /// <summary>UTC, for titles and tables that are read by machines too.</summary>
    public static string Exact(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    public static string Count(int count, string one, string many) =>
        count == 1 ? $"1 {one}" : string.Create(CultureInfo.InvariantCulture, $"{count:N0} {many}");

    /// <summary>One, one and another, or several with commas and an "and".</summary>
    public static string List(IEnumerable<string> items)
    {
        string[] all = [.. items];
        return all.Length < 2 ? string.Concat(all) : $"{string.Join(", ", all[..^1])} and {all[^1]}";
    }

    /// <summary>camelCase or PascalCase as words.</summary>
    public static string Words(Enum value)
    {
        string name = value.ToString();
        var text = new System.Text.StringBuilder(name.Length + 4);
        for (int i = 0; i < name.Length; i++)
        {
            if (i > 0 && char.IsUpper(name[i]))
            {
                text.Append(' ').Append(char.ToLowerInvariant(name[i]));
            }
            else
            {
                text.Append(name[i]);
            }
        }

        return text.ToString();
    }
}

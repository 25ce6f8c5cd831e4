using WebVm.Api.Conventions;

namespace WebVm.Web.InProcess;

/// <summary>What the API answered: a value, or a problem.</summary>
public sealed record ApiAnswer<T>(int Status, T? Value, string? ETag, ApiProblem? Problem)
{
    public bool Ok => Problem is null;
}

/// <summary>Why a request was not carried out (RFC 9457).</summary>
public sealed record ApiProblem(int Status, string Title, string Detail, IReadOnlyList<FieldFault> Errors)
{
    public const int PreconditionFailed = 412;

    /// <summary>One sentence for a person.</summary>
    public string Sentence => Detail.Length > 0 ? Detail : Title;
}

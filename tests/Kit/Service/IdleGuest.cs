using System.Net;
using Xunit;

namespace WebVm.Kit.Service;

/// <summary>VMs of the smallest guest, so that tests of the service cost no CPU time.</summary>
internal static class IdleGuest
{
    /// <summary>Uploads the guest and returns its name.</summary>
    public static Task<string> UploadAsync(HttpClient client) => UploadAsync(client, IdleImage.Bytes());

    /// <summary>Uploads a kernel and returns its name.</summary>
    public static async Task<string> UploadAsync(HttpClient client, byte[] content)
    {
        string name = Rest.NewName("idle");
        var (status, image, _) = await client.SendAsync(
            HttpMethod.Post, "/api/v1/images", new { name, kind = "kernel", bytes = content.Length });
        Assert.Equal(HttpStatusCode.Created, status);
        using var request = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/images/{image!["id"]}/content?wait=30") { Content = new ByteArrayContent(content) };
        request.Headers.Add("Upload-Offset", "0");
        using var answer = await client.SendAsync(request, Rest.Cancellation);
        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
        return name;
    }

    public static object Settings(string kernel, string name, string restart = "onFailure") =>
        new { name, memory = 64L << 20, boot = new { kernel }, engine = "soft", restart };
}

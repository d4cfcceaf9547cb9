using System.Text.Json;
using System.Text.Json.Nodes;

namespace Espalier.Lab.Tests;

/// <summary>As much of JSON Schema 2020-12 as the lab's schema uses; a keyword that is not known fails, so that none is passed over.</summary>
internal static class JsonSchema
{
    private static readonly string[] _annotations = ["$schema", "$id", "title", "description"];

    /// <summary>What is wrong, each with its path; empty if nothing is.</summary>
    public static IEnumerable<string> Validate(JsonObject schema, JsonNode? value, string path = "$")
    {
        foreach (var (keyword, rule) in schema)
        {
            var errors = keyword switch
            {
                "type" => Types(rule!).Any(type => Is(type, value)) ? [] : [$"{path} is no {rule}"],
                "enum" => rule!.AsArray().Any(allowed => JsonNode.DeepEquals(allowed, value)) ? [] : [$"{path} is none of {rule}"],
                "required" => value is JsonObject o ? rule!.AsArray().Where(name => !o.ContainsKey((string)name!)).Select(name => $"{path} lacks {name}") : [],
                "properties" => value is JsonObject o
                    ? o.Where(member => rule![member.Key] is JsonObject).SelectMany(member => Validate(rule![member.Key]!.AsObject(), member.Value, $"{path}.{member.Key}")) : [],
                "additionalProperties" => value is JsonObject o && !(bool)rule!
                    ? o.Where(member => schema["properties"]![member.Key] is null).Select(member => $"{path} has {member.Key}, which is not described") : [],
                "items" => value is JsonArray a ? a.SelectMany((item, i) => Validate(rule!.AsObject(), item, $"{path}[{i}]")) : [],
                _ => _annotations.Contains(keyword) ? [] : (IEnumerable<string>)[$"the schema's keyword {keyword} is not known to this test"],
            };
            foreach (string error in errors)
            {
                yield return error;
            }
        }
    }

    private static IEnumerable<string> Types(JsonNode rule) => rule is JsonArray several ? several.Select(type => (string)type!) : [(string)rule!];

    private static bool Is(string type, JsonNode? value) => (type, value?.GetValueKind() ?? JsonValueKind.Null) switch
    {
        ("object", JsonValueKind.Object) or ("array", JsonValueKind.Array) or ("string", JsonValueKind.String) or ("number", JsonValueKind.Number)
            or ("null", JsonValueKind.Null) or ("boolean", JsonValueKind.True or JsonValueKind.False) => true,
        ("integer", JsonValueKind.Number) => value!.AsValue().TryGetValue(out double number) && double.IsInteger(number),
        _ => false,
    };
}

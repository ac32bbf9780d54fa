package validator;

import static java.nio.charset.StandardCharsets.UTF_8;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import ca.uhn.fhir.validation.ValidationOptions;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.StructureDefinition;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * Validates resources of FHIR R4 or R5 against the base specification and the profiles of a folder.
 *
 * <p>The arguments are the folder and the release, `R4` or `R5`. Each line of standard input is a JSON object: `text` is a resource as JSON
 * or XML, `profiles` are canonicals that it has to keep beside those it claims. Each is answered by a line:
 * an array of objects with `severity`, `location` (FHIRPath), `rule` (message id) and `message`. No server is
 * asked, so a code of a system that is not at hand is a warning.
 */
public final class Validate {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Set<String> READ = Set.of("StructureDefinition", "ValueSet", "CodeSystem");

  private static final String MHD = "https://profiles.ihe.net/ITI/MHD/";

  private Validate() {}

  public static void main(String[] arguments) throws IOException {
    PrintStream output = new PrintStream(System.out, true, UTF_8);
    boolean isR5 = arguments[1].equals("R5");
    FhirValidator validator = validator(Path.of(arguments[0]), isR5);
    BufferedReader input = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      JsonNode asked = JSON.readTree(line);
      ValidationOptions options = new ValidationOptions();
      asked.path("profiles").forEach(profile -> options.addProfile(profile.asText()));
      output.println(JSON.writeValueAsString(findings(validator, asked.get("text").asText(), options)));
    }
  }

  private static ArrayNode findings(FhirValidator validator, String text, ValidationOptions options) {
    ArrayNode found = JSON.createArrayNode();
    for (SingleValidationMessage message : validator.validateWithResult(text, options).getMessages()) {
      found
          .addObject()
          .put("severity", message.getSeverity().getCode())
          .put("location", message.getLocationString())
          .put("rule", message.getMessageId())
          .put("message", message.getMessage());
    }
    return found;
  }

  private static FhirValidator validator(Path folder, boolean isR5) throws IOException {
    FhirContext context = isR5 ? FhirContext.forR5() : FhirContext.forR4();
    ValidationSupportChain chain =
        new ValidationSupportChain(
            List.of(
                new DefaultProfileValidationSupport(context),
                profiles(context, folder, isR5),
                new CommonCodeSystemsTerminologyService(context),
                new InMemoryTerminologyServerValidationSupport(context),
                new SnapshotGeneratingValidationSupport(context)));
    FhirInstanceValidator module = new FhirInstanceValidator(chain);
    module.setErrorForUnknownProfiles(true);
    module.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
    FhirValidator validator = context.newValidator();
    validator.registerValidatorModule(module);
    return validator;
  }

  private static PrePopulatedValidationSupport profiles(FhirContext context, Path folder, boolean isR5)
      throws IOException {
    PrePopulatedValidationSupport support = new PrePopulatedValidationSupport(context);
    List<Path> files;
    try (Stream<Path> walk = Files.walk(folder)) {
      files = walk.filter(Validate::isConformance).sorted().toList();
    }
    for (Path file : files) {
      IBaseResource resource = parsed(Files.readAllBytes(file), isR5);
      switch (resource.fhirType()) {
        case "StructureDefinition" -> support.addStructureDefinition(resource);
        case "ValueSet" -> support.addValueSet(resource);
        default -> support.addCodeSystem(resource);
      }
    }
    if (!isR5) {
      support.addStructureDefinition(absentReason(context));
    }
    return support;
  }

  /** Not by the parser of the context, which takes no extension that has both value and extensions. */
  private static IBaseResource parsed(byte[] text, boolean isR5) throws IOException {
    if (!isR5) {
      return new org.hl7.fhir.r4.formats.JsonParser().parse(text);
    }
    IBaseResource resource = new org.hl7.fhir.r5.formats.JsonParser().parse(text);
    if (resource instanceof org.hl7.fhir.r5.model.StructureDefinition definition
        && definition.getUrl().startsWith(MHD)) {
      // the source of the guide leaves the version to its publisher
      definition.setVersion("5.1.0");
    }
    return resource;
  }

  /** MADO cites data-absent-reason with the version of a later extension pack, which differs in nothing here. */
  private static StructureDefinition absentReason(FhirContext context) {
    StructureDefinition core =
        (StructureDefinition)
            new DefaultProfileValidationSupport(context)
                .fetchStructureDefinition("http://hl7.org/fhir/StructureDefinition/data-absent-reason");
    return core.copy().setVersion("5.3.0");
  }

  private static boolean isConformance(Path file) {
    String name = file.getFileName().toString();
    return name.endsWith(".json") && READ.contains(name.substring(0, Math.max(0, name.indexOf('-'))));
  }
}
